// `compact`: the function and the timing of the published CompactScaleAiChip, in our own words.
//
// C = A B for N x N matrices of 32-bit integers that wrap, by ONE multiply-add unit: N^3 cycles. Word
// addresses (10 bits; a window repeats its N*N words):
//   0x000 A, 0x100 B  write only; row-major. B is the right-hand matrix as it is multiplied: B[k][column].
//   0x200 C           read only
//   0x300 CTRL        bit 0 start: a level, which the host sets and clears
//   0x304 STATUS      bit 0 start, bit 1 busy, bit 2 done; read only
// Anything else answers SLVERR and changes nothing. Writes honour wstrb.
//
// Timing at N = 8, edge 0 latching CTRL = 1: done is visible after edge 513, element e of C after edge 8e+11,
// all of it after edge 515 (compact_control.sv has the story). A read whose address is accepted at edge s
// sees element e if s > 8e+11, and 0 before that.
//
// Kept from the published chip, because its results and its cycles are what this model answers for:
//   - one MAC, although its documents count 16; done at 513, the last result two edges after it
//   - no accumulation: C is cleared by every start, so the host adds up a K longer than N
//   - no interlock: A and B can be written while they are multiplied, and C read before it is there
//   - start is a level, and DONE lasts until it is 0; the words' addresses; the repeating windows
// Repaired, because with them the chip cannot be used:
//   - results could not be read: the read enable of C was (arvalid & ~addr9 & addr9), constant 0
//   - CTRL lay on A[0], so an odd A[0] started a computation; STATUS lay at 4
//   - writes of CTRL and STATUS went to a scratch memory too, which was half unreachable, gave stale data and
//     was connected to nothing: left out
//   - AW and W had to come in one cycle; AW alone was taken for a read and answered all the same; AW with AR
//     lost the read; bvalid and rvalid were pulses that did not wait for bready and rready; no strobes, no
//     errors
//   - the busy port was constant 1; STATUS was a cycle late, and its bit 3 (MAC busy) constant 1
//   - 16 further MACs that multiplied a counter and led nowhere, and performance counters that counted the
//     constant busy: left out
module compact #(
    parameter N = 8  // a power of two, 2..16
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
  localparam [9:0] CTRL = 10'h300, STATUS = 10'h304;

  logic        write;
  logic [9:0]  write_address, read_address;
  logic [31:0] write_data, read_data;
  logic [3:0]  write_strobe;
  logic        write_a, write_b, write_control, read_mapped;

  axi_lite_slave bus (
      .clk, .rst_n, .awaddr, .awvalid, .awready, .wdata, .wstrb, .wvalid, .wready, .bresp, .bvalid, .bready,
      .araddr, .arvalid, .arready, .rdata, .rresp, .rvalid, .rready,
      .hold(1'b0), .write, .write_address, .write_data, .write_strobe,
      .write_mapped(write_a || write_b || write_control),
      .read_address, .read_open(1'b1), .read_mapped, .read_data);

  assign write_a       = write_address[9:8] == 2'd0;
  assign write_b       = write_address[9:8] == 2'd1;
  assign write_control = write_address == CTRL;

  logic             start, clear, compute, finish;
  logic [LOG-1:0]   row, column, k;
  logic [2*LOG-1:0] finish_element;

  compact_control #(.N(N)) control (
      .clk, .rst_n, .start, .busy, .done, .clear, .compute, .row, .column, .k, .finish, .finish_element);

  always_ff @(posedge clk)
    if (!rst_n) start <= 1'b0;
    else if (write && write_control && write_strobe[0]) start <= write_data[0];

  // The matrices are registers, read combinationally: a word written at one edge is multiplied at the next.
  logic [31:0] a[0:N*N-1];
  logic [31:0] b[0:N*N-1];
  integer lane;
  always_ff @(posedge clk)
    for (lane = 0; lane < 4; lane = lane + 1) begin
      if (write && write_a && write_strobe[lane])
        a[write_address[2*LOG-1:0]][8*lane+:8] <= write_data[8*lane+:8];
      if (write && write_b && write_strobe[lane])
        b[write_address[2*LOG-1:0]][8*lane+:8] <= write_data[8*lane+:8];
    end

  logic [31:0] sum, next_sum, finished;
  mac #(.WIDTH(32)) unit (
      .a(a[{row, k}]), .b(b[{k, column}]), .addend(k == '0 ? 32'd0 : sum), .sum(next_sum));

  // Clearing C in one edge clears one bit a word: the words themselves need no reset.
  logic [31:0] c[0:N*N-1];
  logic [N*N-1:0] c_written;
  always_ff @(posedge clk) begin
    if (compute) sum <= next_sum;
    finished <= sum;
    if (finish) c[finish_element] <= finished;
    if (!rst_n || clear) c_written <= '0;
    else if (finish) c_written[finish_element] <= 1'b1;
  end

  always_comb begin
    read_mapped = 1'b1;
    read_data = 32'd0;
    if (read_address[9:8] == 2'd2) begin
      if (c_written[read_address[2*LOG-1:0]]) read_data = c[read_address[2*LOG-1:0]];
    end else if (read_address == CTRL) read_data = {31'd0, start};
    else if (read_address == STATUS) read_data = {29'd0, done, busy, start};
    else read_mapped = 1'b0;
  end
endmodule
