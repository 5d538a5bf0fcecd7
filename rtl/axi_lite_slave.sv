// The AXI4-Lite side of the host-driven chips: handshakes and responses. What an address means is the
// core's business.
//
// Addresses count 32-bit words, not bytes, as on the published chip.
//
// Timing, with a master that offers AW and W together and keeps bready and rready high:
//   write  accepted and executed at one edge, its response there after it; one write a cycle.
//   read   AR accepted at edge s, the data captured at s from what was visible before it, RVALID after s,
//          taken at s+1.
// Any other master is served too: AW and W may come in either order and any distance; one address and one
// data word wait in holding registers, as they do while a response is not taken. A write and a read offered
// together both happen, and the read sees what was there before the write. No output depends combinationally
// on an input (AXI4, A3.2.1): ready says only that a holding register is free.
//
// `hold` keeps the chip's registers away from the host: no write is accepted. A read is taken into its
// holding register and waits there for `read_open`, which the core gives by address.
module axi_lite_slave (
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

    // The core. `write` is high in the cycle whose closing edge executes the write.
    input  logic        hold,
    output logic        write,
    output logic [9:0]  write_address,
    output logic [31:0] write_data,
    output logic [3:0]  write_strobe,
    input  logic        write_mapped,   // is there something to write at write_address?
    output logic [9:0]  read_address,
    input  logic        read_open,      // may read_address be read now?
    input  logic        read_mapped,
    input  logic [31:0] read_data
);
  localparam [1:0] OKAY = 2'b00, SLVERR = 2'b10;

  logic        aw_held, w_held, ar_held;
  logic [9:0]  aw_address, ar_address;
  logic [31:0] w_data;
  logic [3:0]  w_strobe;

  assign awready = !aw_held && !hold;
  assign wready  = !w_held && !hold;
  assign arready = !ar_held;

  logic aw_here, w_here, ar_here;  // waiting, or handed over at the coming edge
  assign aw_here = aw_held || (awvalid && awready);
  assign w_here  = w_held || (wvalid && wready);
  assign ar_here = ar_held || arvalid;

  // The response register must be free, or be freed by this edge.
  assign write         = aw_here && w_here && (!bvalid || bready);
  assign write_address = aw_held ? aw_address : awaddr;
  assign write_data    = w_held ? w_data : wdata;
  assign write_strobe  = w_held ? w_strobe : wstrb;

  logic read;
  assign read         = ar_here && (!rvalid || rready) && read_open;
  assign read_address = ar_held ? ar_address : araddr;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      aw_held <= 1'b0;
      w_held  <= 1'b0;
      ar_held <= 1'b0;
      bvalid  <= 1'b0;
      rvalid  <= 1'b0;
    end else begin
      aw_held <= aw_here && !write;
      w_held  <= w_here && !write;
      ar_held <= ar_here && !read;
      bvalid  <= write || (bvalid && !bready);
      rvalid  <= read || (rvalid && !rready);
    end
    if (!aw_held) aw_address <= awaddr;
    if (!ar_held) ar_address <= araddr;
    if (!w_held) begin
      w_data   <= wdata;
      w_strobe <= wstrb;
    end
    if (write) bresp <= write_mapped ? OKAY : SLVERR;
    if (read) begin
      rresp <= read_mapped ? OKAY : SLVERR;
      rdata <= read_mapped ? read_data : 32'd0;
    end
  end
endmodule
