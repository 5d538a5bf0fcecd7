// `compact-16mac`: `compact` with its 16 multiply-add units really used, sums that stay on the chip over K,
// and an interlock. Same registers and bus; only CTRL differs:
//   0x300 CTRL    bit 0 start (clears itself), bit 1 accumulate: C += A B; otherwise C = A B
//   0x304 STATUS  bit 0 a start is latched, bit 1 busy, bit 2 done (until the next start)
//
// Timing at N = 8, MACS = 16: edge 0 latches the start; edge 1 begins; edges 2..33 are 32 compute cycles of
// 16 multiply-adds: in cycle c, p = c / 8 and k = c % 8, rows 2p and 2p+1 of A meet all columns of B. C is
// visible, and busy falls, after edge 33. From the latch until then no write is accepted, and of reads only
// that of STATUS is answered: an access offered meanwhile is accepted first at edge 34 (N^3 / MACS + 2).
//
// C has no value before the first start without accumulate.
module compact_16mac #(
    parameter N = 8,      // a power of two, 2..16
    parameter MACS = 16   // a power of two times N, at most N*N / 2
) (
    input  logic        clk,
    input  logic        rst_n,  // synchronous
    input  logic [9:0]  awaddr,
    input  logic        awvalid,
    output logic        awready,
    input  logic [31:0] wdata,
    input  logic [3:0]  wstrb,
    input  logic        wvalid,
    output logic        wready,
    output logic [1:0]  bresp,
    output logic        bvalid,
    input  logic        bready,
    input  logic [9:0]  araddr,
    input  logic        arvalid,
    output logic        arready,
    output logic [31:0] rdata,
    output logic [1:0]  rresp,
    output logic        rvalid,
    input  logic        rready,
    output logic        busy,
    output logic        done
);
  localparam LOG = $clog2(N);
  localparam ROWS = MACS / N;        // rows of A at work in a cycle
  localparam GROUPS = N / ROWS;      // of ROWS rows
  localparam LOG_GROUPS = $clog2(GROUPS);
  localparam LOG_ROWS = LOG - LOG_GROUPS;
  localparam [9:0] CTRL = 10'h300, STATUS = 10'h304;

  logic        write;
  logic [9:0]  write_address, read_address;
  logic [31:0] write_data, read_data;
  logic [3:0]  write_strobe;
  logic        write_a, write_b, write_control, read_mapped;

  axi_lite_slave bus (
      .clk, .rst_n, .awaddr, .awvalid, .awready, .wdata, .wstrb, .wvalid, .wready, .bresp, .bvalid, .bready,
      .araddr, .arvalid, .arready, .rdata, .rresp, .rvalid, .rready,
      .hold(busy), .write, .write_address, .write_data, .write_strobe,
      .write_mapped(write_a || write_b || write_control),
      .read_address, .read_open(!busy || read_address == STATUS), .read_mapped, .read_data);

  assign write_a       = write_address[9:8] == 2'd0;
  assign write_b       = write_address[9:8] == 2'd1;
  assign write_control = write_address == CTRL;

  // The control: a start is latched, begins at the next edge, and walks through groups of rows, k fastest.
  logic start, accumulate, computing;
  logic [LOG_GROUPS-1:0] group;
  logic [LOG-1:0] k;
  assign busy = start || computing;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      start <= 1'b0;
      accumulate <= 1'b0;
      computing <= 1'b0;
      done <= 1'b0;
    end else begin
      start <= 1'b0;
      if (write && write_control && write_strobe[0]) begin  // never while busy
        start <= write_data[0];
        accumulate <= write_data[1];
        if (write_data[0]) done <= 1'b0;
      end
      if (start) computing <= 1'b1;
      if (computing && (&{group, k})) begin
        computing <= 1'b0;
        done <= 1'b1;
      end
    end
    if (start) {group, k} <= '0;
    else {group, k} <= {group, k} + 1'b1;
  end

  // The matrices lie in banks, so that a cycle finds its operands side by side: A in ROWS banks by row %
  // ROWS, B in N by column, C in MACS by both.
  logic [32*ROWS-1:0] a_words;  // A[group * ROWS + r][k] for each r
  logic [32*N-1:0]    b_words;  // B[k][column] for each column
  logic [32*MACS-1:0] c_words;  // what the host may read of each bank of C

  logic [2*LOG-1:0] element;  // that the host writes
  assign element = write_address[2*LOG-1:0];

  genvar r, j;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : a_bank
      logic [31:0] words[0:GROUPS*N-1];
      integer lane;
      always_ff @(posedge clk)
        for (lane = 0; lane < 4; lane = lane + 1)
          if (write && write_a && write_strobe[lane] && (element >> LOG) % ROWS == r)
            words[{element[LOG+LOG_ROWS+:LOG_GROUPS], element[LOG-1:0]}][8*lane+:8] <= write_data[8*lane+:8];
      assign a_words[32*r+:32] = words[{group, k}];
    end
    for (j = 0; j < N; j = j + 1) begin : b_bank
      logic [31:0] words[0:N-1];
      integer lane;
      always_ff @(posedge clk)
        for (lane = 0; lane < 4; lane = lane + 1)
          if (write && write_b && write_strobe[lane] && element[LOG-1:0] == j)
            words[element[2*LOG-1:LOG]][8*lane+:8] <= write_data[8*lane+:8];
      assign b_words[32*j+:32] = words[k];
    end
    for (r = 0; r < ROWS; r = r + 1) begin : c_row
      for (j = 0; j < N; j = j + 1) begin : c_bank
        logic [31:0] words[0:GROUPS-1];
        logic [31:0] sum;
        mac #(.WIDTH(32)) unit (
            .a(a_words[32*r+:32]), .b(b_words[32*j+:32]),
            .addend(k == '0 && !accumulate ? 32'd0 : words[group]), .sum);
        always_ff @(posedge clk) if (computing) words[group] <= sum;
        assign c_words[32*(r*N+j)+:32] = words[read_address[LOG+LOG_ROWS+:LOG_GROUPS]];
      end
    end
  endgenerate

  always_comb begin
    read_mapped = 1'b1;
    read_data = 32'd0;
    if (read_address[9:8] == 2'd2) read_data = c_words[32*read_address[LOG+LOG_ROWS-1:0]+:32];
    else if (read_address == CTRL) read_data = {30'd0, accumulate, 1'b0};
    else if (read_address == STATUS) read_data = {29'd0, done, busy, start};
    else read_mapped = 1'b0;
  end
endmodule
