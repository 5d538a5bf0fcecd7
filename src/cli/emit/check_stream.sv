// Plays program.hex on the chip, a beat whenever it is ready, takes every row of results at once, and compares
// them with results.hex and the clock edges they take with {{CYCLES}}.
module check;
  localparam N = {{N}}, BEAT = {{BEAT}}, BEATS = {{OPS}}, ROWS = {{RESULTS}};
  localparam [63:0] CYCLES = {{CYCLES}};

  logic [8*BEAT-1:0] beats[0:BEATS-1];
  logic [32*N-1:0] rows[0:ROWS-1];
  initial begin
    $readmemh("program.hex", beats);
    $readmemh("results.hex", rows);
  end

  logic clk = 0, rst_n = 0;
  always #5 clk = !clk;

  integer      index = 0, row = 0, wrong = 0;
  logic [63:0] edges = 0;

  logic [8*BEAT-1:0] in_data;
  logic [32*N-1:0] out_data;
  logic in_valid, in_ready, out_valid, out_last, error;
  assign in_valid = rst_n && index < BEATS;
  assign in_data  = beats[index < BEATS ? index : BEATS - 1];
  {{TOP}} chip (
      .clk, .rst_n, .in_data, .in_valid, .in_ready, .out_data, .out_valid, .out_last, .out_ready(1'b1), .error
  );

  always @(posedge clk) begin
    rst_n <= 1;
    if (rst_n) begin
      edges <= edges + 1;
      if (in_valid && in_ready) index <= index + 1;
      if (out_valid) begin
        row <= row + 1;
        if (out_data != rows[row]) wrong <= wrong + 1;
        if (row == ROWS - 1) begin
          $display("%0d cycles, expected %0d; %0d rows of results, %0d of them wrong", edges + 1, CYCLES, ROWS,
                   wrong + (out_data != rows[row] ? 1 : 0));
          if (edges + 1 != CYCLES || wrong != 0 || out_data != rows[row]) $fatal(1);
          $finish;
        end
      end
      if (error) $fatal(1, "the chip refuses a header");
    end
  end
endmodule
