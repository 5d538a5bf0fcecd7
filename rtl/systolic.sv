// `systolic`: an output-stationary array of N x N int8 multiply-add units with 32-bit sums that wrap, fed by
// one stream of N-byte beats, and a scratchpad of S such beats for activations. C = A W^T for any K.
//
// The stream describes itself: a header beat, then `count` payload beats.
//   byte 0     1 = LOAD_A, 2 = MAC
//   byte 1     of MAC: bit 0 first (sums start at 0), bit 1 last (sums are drained after it)
//   bytes 2-3  of MAC with last: rows to drain, 1..N
//   bytes 4-5  count, bytes 6-7 base; all little endian
// LOAD_A, beat b: scratch[base + b] = A[0..N-1][k = b], a column of the row block.
// MAC, beat b:    W[0..N-1][k = b], one weight for each column, enters the array with scratch[base + b].
// The output is a stream of rows of C, 32N bits each, element 0 lowest; out_last marks the last of a tile.
// A header that cannot be obeyed raises `error` and stops the stream until reset.
//
// Timing:
//   - One beat an edge, no bubble between header and payload or between commands.
//   - A payload beat accepted at edge t works in element (i, j) at edge t+1+i+j.
//   - After a last beat accepted at edge t, the last element is done at g = t+1+2(N-1); row 0 is valid after
//     g, and rows are taken from edge g+1 on, one an edge.
//   - Interlock: elements hold one finished result besides their sum, so a last beat is not accepted
//     (in_ready low) until the previous tile's last row has been taken, at edge d: at d+1 at the earliest.
//     With an out_ready that is always high, that stalls nobody whose K is 3N-1 or more.
// The scratchpad needs no interlock: it is written and read in the order of the stream.
module systolic #(
    parameter N = 8,     // 2..128
    parameter S = 2048,  // at most 65536
    parameter BEAT = N < 8 ? 8 : N  // bytes: a header fills 8
) (
    input  logic              clk,
    input  logic              rst_n,  // synchronous
    input  logic [8*BEAT-1:0] in_data,
    input  logic              in_valid,
    output logic              in_ready,
    output logic [32*N-1:0]   out_data,
    output logic              out_valid,
    output logic              out_last,
    input  logic              out_ready,
    output logic              error
);
  localparam LOG_N = $clog2(N), LOG_S = $clog2(S);

  // The command in progress.
  logic              loading, multiplying;  // payload beats of LOAD_A or MAC are still to come
  logic              mac_first, mac_last;   // flags of the MAC; mac_first only until its first payload beat
  logic [LOG_N-1:0]  mac_final_row;
  logic [15:0]       remaining;             // payload beats, less one
  logic [LOG_S-1:0]  address;               // of the next payload beat in the scratchpad
  logic              draining;              // from the acceptance of a last beat until its last row is taken

  logic tile_end;  // the next beat completes a tile
  assign tile_end = multiplying && mac_last && remaining == 16'd0;
  assign in_ready = !error && !(tile_end && draining);

  logic accept, header;
  assign accept = in_valid && in_ready;
  assign header = !loading && !multiplying;

  // The header's fields.
  logic [7:0]  op;
  logic [15:0] rows, count, base;
  logic        flag_first, flag_last, obeyable;
  assign op = in_data[7:0];
  assign {flag_last, flag_first} = in_data[9:8];
  assign rows = in_data[31:16];
  assign count = in_data[47:32];
  assign base = in_data[63:48];
  assign obeyable = (op == 8'd1 || op == 8'd2) && count != 16'd0 && {1'b0, base} + {1'b0, count} <= 17'(S) &&
                    !(op == 8'd2 && flag_last && (rows == 16'd0 || rows > 16'(N)));

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      loading <= 1'b0;
      multiplying <= 1'b0;
      error <= 1'b0;
    end else if (accept && header) begin
      loading <= obeyable && op == 8'd1;
      multiplying <= obeyable && op == 8'd2;
      error <= !obeyable;
    end else if (accept && remaining == 16'd0) begin
      loading <= 1'b0;
      multiplying <= 1'b0;
    end
    if (accept && header) begin
      mac_first <= flag_first;
      mac_last <= flag_last;
      mac_final_row <= LOG_N'(rows - 16'd1);
      remaining <= count - 16'd1;
      address <= LOG_S'(base);
    end else if (accept) begin
      mac_first <= 1'b0;
      remaining <= remaining - 16'd1;
      address <= address + 1'b1;
    end
  end

  // Edge t: a payload beat of LOAD_A is written; one of MAC is registered, and its activations are read.
  // The skew: row i of A is delayed by i edges on its way to column 0, column j of W by j edges to row 0.
  logic [8*N-1:0] scratch[0:S-1];
  logic [8*N-1:0] a_column, w_row;
  logic [8*N-1:0] a_enter, w_enter;                     // lane i enters row i, or column i
  logic [N-1:0]   valid_enter, first_enter, last_enter;  // bit j enters column j; last implies valid
  always_ff @(posedge clk) begin
    if (accept && loading) scratch[address] <= in_data[8*N-1:0];
    a_column <= scratch[address];
    w_row <= in_data[8*N-1:0];
    first_enter <= {first_enter[N-2:0], mac_first};
    if (!rst_n) begin
      valid_enter <= '0;
      last_enter <= '0;
    end else begin
      valid_enter <= {valid_enter[N-2:0], accept && multiplying};
      last_enter <= {last_enter[N-2:0], accept && tile_end};
    end
  end
  assign a_enter[7:0] = a_column[7:0];
  assign w_enter[7:0] = w_row[7:0];

  genvar i, j;
  generate
    for (i = 1; i < N; i = i + 1) begin : skew
      logic [8*i-1:0] a_late, w_late;  // lane i of the last i columns and rows, the oldest highest
      always_ff @(posedge clk) begin
        a_late <= (8*i)'({a_late, a_column[8*i+:8]});
        w_late <= (8*i)'({w_late, w_row[8*i+:8]});
      end
      assign a_enter[8*i+:8] = a_late[8*i-1-:8];
      assign w_enter[8*i+:8] = w_late[8*i-1-:8];
    end
  endgenerate

  // The array. Element (i, j) is fed by wires (i, j); what it hands on are wires
  // (i, j+1) and (i+1, j); behind the last row and column nobody reads them.
  // verilator lint_off UNUSEDSIGNAL
  logic [8*N*(N+1)-1:0] a_wire, w_wire;
  logic [N*(N+1)-1:0]   valid_wire, first_wire, last_wire;
  // verilator lint_on UNUSEDSIGNAL
  logic [32*N*N-1:0]    results;
  assign w_wire[8*N-1:0] = w_enter;
  assign valid_wire[N-1:0] = valid_enter;
  assign first_wire[N-1:0] = first_enter;
  assign last_wire[N-1:0] = last_enter;
  generate
    for (i = 0; i < N; i = i + 1) begin : row
      assign a_wire[8*i*(N+1)+:8] = a_enter[8*i+:8];
      for (j = 0; j < N; j = j + 1) begin : column
        localparam RIGHT = i * (N + 1) + j, DOWN = i * N + j;
        systolic_element element (
            .clk, .rst_n,
            .a_in(a_wire[8*RIGHT+:8]), .a_out(a_wire[8*(RIGHT+1)+:8]),
            .w_in(w_wire[8*DOWN+:8]), .w_out(w_wire[8*(DOWN+N)+:8]),
            .valid_in(valid_wire[DOWN]), .valid_out(valid_wire[DOWN+N]),
            .first_in(first_wire[DOWN]), .first_out(first_wire[DOWN+N]),
            .last_in(last_wire[DOWN]), .last_out(last_wire[DOWN+N]),
            .result(results[32*DOWN+:32]));
      end
    end
  endgenerate

  // The drain: the last flag is at the last element at edge g, which makes row 0 valid.
  logic [LOG_N-1:0] out_row, final_row;
  logic out_taken;
  assign out_data = results[32*N*out_row+:32*N];
  assign out_last = out_row == final_row;
  assign out_taken = out_valid && out_ready && out_last;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      out_valid <= 1'b0;
      draining <= 1'b0;
    end else begin
      out_valid <= last_wire[N*N-1] || (out_valid && !out_taken);
      draining <= (accept && tile_end) || (draining && !out_taken);
    end
    if (accept && tile_end) final_row <= mac_final_row;
    if (!out_valid) out_row <= '0;
    else if (out_ready) out_row <= out_row + 1'b1;
  end
endmodule
