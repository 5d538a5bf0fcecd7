// sum = addend + a * b, combinational. Operands are signed WIDTH-bit numbers (32 or fewer); the sum wraps
// modulo 2^32, so the order of summation never matters.
module mac #(
    parameter WIDTH = 32
) (
    input  logic signed [WIDTH-1:0] a,
    input  logic signed [WIDTH-1:0] b,
    input  logic        [31:0]      addend,
    output logic        [31:0]      sum
);
  // Sign-extended to 32 bits: synthesis sees that and builds a WIDTH x WIDTH multiplier.
  assign sum = addend + 32'(a) * 32'(b);
endmodule
