// What compact_control.sv promises, as assertions for any N, any behaviour of `start`, any time: an SMT
// solver checks the first edges after reset and, by induction, all that follow (scripts/rtl prove). The
// control has no data input, so what is proven here holds whatever the data.
module compact_control_proof #(
    parameter N = 8
) (
    input logic clk,
    input logic start  // free at every edge
);
  localparam LOG = $clog2(N), MACS = N * N * N;
  localparam LAST_FINISH = MACS + 2;  // the edge before the one that writes the last element: 514

  logic rst_n;
  initial rst_n = 1'b0;
  always @(posedge clk) rst_n <= 1'b1;

  logic busy, done, clear, compute, finish;
  logic [LOG-1:0] row, column, k;
  logic [2*LOG-1:0] finish_element;
  compact_control #(.N(N)) control (
      .clk, .rst_n, .start, .busy, .done, .clear, .compute, .row, .column, .k, .finish, .finish_element);

  // After edge e of a computation (its edge 1 clears C) the age is e; 0 after reset; it stops at OLD.
  localparam OLD = 2 * MACS - 1;
  logic [3*LOG:0] age;
  initial age = '0;
  always @(posedge clk)
    if (!rst_n) age <= '0;
    else if (clear) age <= 1;
    else if (age != 0 && age != OLD) age <= age + 1'b1;

  always @(posedge clk)
    if (rst_n) begin
      // One multiply-add at each of edges 2..513, in order.
      assert (compute == (age >= 1 && age <= MACS));
      if (compute) assert ({1'b0, row, column, k} == age - 1'b1);
      // done is visible after edge 513, and not after 512.
      if (age == MACS + 1) assert (done);
      if (done) assert (age >= MACS + 1);
      if (age >= 1 && age <= MACS) assert (busy && !done);
      // Element e is written at edge N e + N + 3 (8e + 11), and nothing else ever is.
      assert (finish == (age >= N + 2 && age <= LAST_FINISH && (age - (N + 2)) % N == 0));
      if (finish) assert (finish_element == (age - (N + 2)) / N);
      // Nothing starts while something runs.
      if (clear) assert (age == 0 || age > MACS + 1);

      cover (done && !start);
      cover (finish && (&finish_element));
    end
endmodule
