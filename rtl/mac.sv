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
  // A signed expression of its own: beside the unsigned addend it would count as unsigned, and yosys would not
  // see that a WIDTH x WIDTH multiplier is enough (215 iCE40 LUTs for 8 bits, not 750).
  logic signed [31:0] product;
  assign product = 32'(a) * 32'(b);
  assign sum = addend + product;
endmodule
