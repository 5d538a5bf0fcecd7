// One element of the systolic array: keeps its sum while a (from the left) and w (from above) pass through
// it, one register each. `valid`, `first` and `last` (which implies valid) travel down with w.
//
// With `first` the sum starts at this product; with `last` it is complete, is copied into `result` at the
// same edge, and is free for the `first` of the next tile at the next one.
module systolic_element (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [7:0]  a_in,
    input  logic [7:0]  w_in,
    input  logic        valid_in,
    input  logic        first_in,
    input  logic        last_in,
    output logic [7:0]  a_out,
    output logic [7:0]  w_out,
    output logic        valid_out,
    output logic        first_out,
    output logic        last_out,
    output logic [31:0] result
);
  logic [31:0] sum, next_sum;
  mac #(.WIDTH(8)) unit (.a(a_in), .b(w_in), .addend(first_in ? 32'd0 : sum), .sum(next_sum));

  always_ff @(posedge clk) begin
    a_out <= a_in;
    w_out <= w_in;
    first_out <= first_in;
    if (valid_in) sum <= next_sum;
    if (last_in) result <= next_sum;
    if (!rst_n) begin
      valid_out <= 1'b0;
      last_out <= 1'b0;
    end else begin
      valid_out <= valid_in;
      last_out <= last_in;
    end
  end
endmodule
