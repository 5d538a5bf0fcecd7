// The control of `compact`: when it computes, which multiply-add, and when a finished sum reaches C. It sees
// no data, so its timing is the same whatever the data; proof/compact_control_proof.sv proves it.
//
// The story (N = 8; edge 0 latches CTRL = 1, so start is seen from edge 1 on):
//   IDLE     start -> COMPUTE. Edge 1: C is forgotten, the counter is 0.
//   COMPUTE  edges 2..513, one multiply-add each. Counter n: k = n % N, column = (n / N) % N, row = n / N^2.
//            Start is not looked at.
//   DONE     from edge 513 on, until start is 0 (at once, when the host has cleared it meanwhile).
// A sum is complete with its last multiply-add (k = N-1), at edge 8e+9 for element e = row * N + column. It
// moves through one more register and is written into C at edge 8e+11: the last one, e = 63, at edge 515, two
// edges after done. The host must wait that long; nothing stops it from reading 0 before.
module compact_control #(
    parameter N = 8,  // a power of two, 2..16
    parameter LOG = $clog2(N)
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             start,
    output logic             busy,
    output logic             done,
    output logic             clear,    // the coming edge forgets C
    output logic             compute,  // the coming edge does a multiply-add
    output logic [LOG-1:0]   row,
    output logic [LOG-1:0]   column,
    output logic [LOG-1:0]   k,
    output logic             finish,   // the coming edge writes the finished sum
    output logic [2*LOG-1:0] finish_element
);
  localparam [1:0] IDLE = 2'd0, COMPUTE = 2'd1, DONE = 2'd2;
  logic [1:0] state;
  logic [3*LOG-1:0] counter;

  assign busy = state != IDLE;
  assign done = state == DONE;
  assign clear = state == IDLE && start;
  assign compute = state == COMPUTE;
  assign {row, column, k} = counter;

  logic complete;  // the sum register holds the sum of complete_element
  logic [2*LOG-1:0] complete_element;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= IDLE;
      counter <= '0;
      complete <= 1'b0;
      finish <= 1'b0;
    end else begin
      case (state)
        IDLE:
          if (start) begin
            state <= COMPUTE;
            counter <= '0;
          end
        COMPUTE: begin
          counter <= counter + 1'b1;
          if (&counter) state <= DONE;
        end
        default:
          if (!start) state <= IDLE;
      endcase
      complete <= compute && (&k);
      finish <= complete;
    end
    complete_element <= {row, column};
    finish_element <= complete_element;
  end
endmodule
