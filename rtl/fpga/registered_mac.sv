// One 32-bit multiply-add between registers, as in `compact`: the bound that its arithmetic alone sets on the
// clock. For measuring only.
module registered_mac (
    input  logic        clk,
    input  logic        clear,
    input  logic [31:0] a_in,
    input  logic [31:0] b_in,
    output logic [31:0] sum
);
  logic [31:0] a, b, next_sum;
  logic first;
  mac #(.WIDTH(32)) unit (.a, .b, .addend(first ? 32'd0 : sum), .sum(next_sum));
  always_ff @(posedge clk) begin
    a <= a_in;
    b <= b_in;
    first <= clear;
    sum <= next_sum;
  end
endmodule
