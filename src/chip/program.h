// What reaches a chip's pins, in order: the same programs drive the RTL (rtl/) and the cycle simulator.
//
// Host-driven chips (kAxiLite) see bus transactions; streaming chips (kDma) see beats. A stall list delays
// chosen transactions or beats: each is offered `cycles` later than it could have been.
#pragma once

#include <cstdint>
#include <vector>

namespace edgewise::chip {

// Word addresses of the register map that both AXI-Lite variants share.
inline constexpr uint32_t kAddressA = 0x000, kAddressB = 0x100, kAddressC = 0x200;
inline constexpr uint32_t kAddressControl = 0x300;  // bit 0 start, bit 1 accumulate (chips that can)
inline constexpr uint32_t kAddressStatus = 0x304;   // bit 1 busy, bit 2 done

struct BusOp {
  enum class Kind : uint8_t {
    kWrite,  // one cycle from offer to acceptance when the slave is ready
    kRead,   // two cycles: address, data
    kIdle,   // the host does nothing for `data` cycles
  };
  Kind kind;
  uint32_t address = 0, data = 0;
};

// One beat of a stream: `bytes` are lanes 0.. in order, as many as the chip's stream is wide.
struct Beat {
  std::vector<uint8_t> bytes;
};

// Before transaction (or beat) number `index` the master waits `cycles`. Sorted by index, which are distinct.
struct Stall {
  uint64_t index;
  uint32_t cycles;
};

// What a chip gave back.
struct Outcome {
  std::vector<uint32_t> results;  // words read, or results streamed out, in order
  uint64_t cycles = 0;            // from the first edge at which a transaction could be accepted, to the edge
                                  // that accepted the last one (or delivered the last result), inclusive
};

}  // namespace edgewise::chip
