// Plays program.hex on the chip, an AXI-Lite master that offers AW and W together and is always ready for
// answers, and compares what it reads with results.hex and the clock edges it takes with {{CYCLES}}.
module check;
  localparam OPS = {{OPS}}, RESULTS = {{RESULTS}};
  localparam [63:0] CYCLES = {{CYCLES}};
  localparam [3:0] WRITE = 0, READ = 1, IDLE = 2;

  logic [47:0] program_ops[0:OPS-1];  // kind, address, data
  logic [31:0] results[0:RESULTS-1];
  initial begin
    $readmemh("program.hex", program_ops);
    $readmemh("results.hex", results);
  end

  logic clk = 0, rst_n = 0;
  always #5 clk = !clk;

  integer      index = 0, result = 0, waited = 0, wrong = 0;
  logic [63:0] edges = 0;
  logic        aw_done = 0, w_done = 0, ar_done = 0;

  logic [3:0]  kind;
  logic [9:0]  address;
  logic [31:0] data;
  assign {kind, address, data} = {program_ops[index][47:44], program_ops[index][41:32], program_ops[index][31:0]};

  logic awvalid, awready, wvalid, wready, bvalid, arvalid, arready, rvalid, busy, done;
  logic [1:0] bresp, rresp;
  logic [31:0] rdata;
  assign awvalid = rst_n && kind == WRITE && !aw_done;
  assign wvalid  = rst_n && kind == WRITE && !w_done;
  assign arvalid = rst_n && kind == READ && !ar_done;
  {{TOP}} chip (
      .clk, .rst_n, .awaddr(address), .awvalid, .awready, .wdata(data), .wstrb(4'hF), .wvalid, .wready, .bresp,
      .bvalid, .bready(1'b1), .araddr(address), .arvalid, .arready, .rdata, .rresp, .rvalid, .rready(1'b1), .busy,
      .done
  );

  logic ends;  // the transaction, at this edge
  always_comb begin
    case (kind)
      WRITE: ends = (aw_done || awready) && (w_done || wready);
      READ: ends = ar_done && rvalid;
      default: ends = waited + 1 == data;
    endcase
  end

  always @(posedge clk) begin
    rst_n <= 1;
    if (rst_n) begin
      edges <= edges + 1;
      aw_done <= kind == WRITE && !ends && (aw_done || awready);
      w_done <= kind == WRITE && !ends && (w_done || wready);
      ar_done <= kind == READ && !ends && (ar_done || arready);
      waited <= kind == IDLE && !ends ? waited + 1 : 0;
      if (kind == READ && ends) begin
        result <= result + 1;
        if (rdata != results[result]) wrong <= wrong + 1;
      end
      if (ends) index <= index + 1;
      if (ends && index == OPS - 1) begin
        $display("%0d cycles, expected %0d; %0d results, %0d of them wrong", edges + 1, CYCLES, RESULTS,
                 wrong + (kind == READ && rdata != results[result] ? 1 : 0));
        if (edges + 1 != CYCLES || wrong != 0 || (kind == READ && rdata != results[result])) $fatal(1);
        $finish;
      end
    end
  end
endmodule
