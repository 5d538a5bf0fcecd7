// What a device is, as the predictor prices it: peak rates, memory, watts, and how much of them a program
// gets. A device is a file (devices/*.toml, device_file.h), a chip design, or this machine, measured.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "machine/chip.h"
#include "quant/dtype.h"

namespace edgewise {

// Where a figure comes from, best first.
enum class Provenance : uint8_t {
  kMeasured,    // by us or by whoever is named, on the device
  kVendor,      // data sheet
  kRepository,  // read in a public repository that is named
  kDerived,     // computed from other figures, as its source says
  kSeen,        // on a page, second hand
  kUnverified,  // from memory, or sources disagree
  kStated,      // by the file's author, without a word
  kAssumed,     // ours, where nobody says
};
const char* NameOf(Provenance provenance);  // "measured", "vendor", ...
// Throws Error(kUsage) listing the names.
Provenance ProvenanceNamed(std::string_view name);

// A value with its witness, and what the source documents say where that differs.
struct Figure {
  double value = 0;
  Provenance from = Provenance::kStated;
  std::string source = {};             // "LPDDR4-3200, 32 bits"
  std::optional<double> claimed = {};  // by a document, in the same unit
  std::string claimed_by = {};         // "S4: about 4 GB/s"
  std::string verdict = {};            // on the claim: "right", "wrong unit: 4 TOPS"

  friend bool operator==(const Figure&, const Figure&) = default;
};

enum class DeviceKind : uint8_t { kCpu, kGpu, kDsp, kNpu, kChip };
const char* NameOf(DeviceKind kind);  // "cpu", "gpu", ...
// Throws Error(kUsage) listing the names.
DeviceKind DeviceKindNamed(std::string_view name);

// How fast products with weights of one type run, rows and threads given, as measured on a machine. The time
// of a product of `rows` rows is the longer of reading the weights at memory_share of the roof and of
// unpack_s + rows * mac_s for each weight and each_s for each output. Measured separately for each kernel
// shape: one row, 2 to 8, more.
struct ProductRate {
  DType type = DType::kF16;
  uint32_t least_rows = 1, most_rows = 1;  // where it holds
  double memory_share = 1;
  double unpack_s = 0, mac_s = 0;  // seconds per weight, all threads together
  double each_s = 0;               // to begin and end the sum of one output: short sums are dearer

  friend bool operator==(const ProductRate&, const ProductRate&) = default;
};

// The same for attention over a KV cache of one type: the longer of reading the cache at memory_share of the
// roof and, per value of the cache read, unpack_s, per (query head, visible position, head dimension) mac_s,
// and each_s for each KV head of each block of a sequence's rows.
struct AttentionRate {
  DType type = DType::kF16;
  uint32_t least_rows = 1, most_rows = 1;  // query rows that share what is read: a block's, of all its heads
  double memory_share = 1;
  double unpack_s = 0;  // per value of the cache read
  double mac_s = 0;
  double each_s = 0;    // the cache's first lines, which nobody fetched ahead; scaling, the last division

  friend bool operator==(const AttentionRate&, const AttentionRate&) = default;
};

// What a machine of known kernels reaches with so many threads.
struct TeamRate {
  uint32_t threads = 1;
  Figure read_bytes_s;  // from memory
  // 8-bit operations per second at best when the rates below held: where the clock or a neighbour changes it,
  // they change alike. 0: not said.
  double peak_ops_s = 0;
  std::vector<ProductRate> products;
  std::vector<AttentionRate> attention;
  double element_bytes_s = 0;  // norms, rotation, activation functions: bytes read and written
  double phase_s = 0;          // hand-out and barrier of one phase of a step (predict/op_time.h)
  double step_s = 0;           // of a step besides: scheduler, sampler

  friend bool operator==(const TeamRate&, const TeamRate&) = default;
};

struct Device {
  std::string name;     // "rpi4": the file's name
  std::string title;    // "Raspberry Pi 4 (4x Cortex-A72, 1.8 GHz)"
  std::string summary;  // remarks, disputes
  DeviceKind kind = DeviceKind::kCpu;
  std::string family;  // a class of devices that behave alike: "arm-cpu", "nvidia", "apple-gpu"
  // The device whose published measurements are this one's too: itself where its file lies beside their
  // table,
  // "" for a file of somebody's own that does not say so, whatever its name.
  std::string published_as;
  uint32_t cores = 0;  // 0: not said

  // Operations per second at best, a multiply-add counting twice; absent where the device cannot.
  std::optional<Figure> f32_ops_s, f16_ops_s, int8_ops_s, int4_ops_s;

  Figure memory_bytes;               // of the usual model of the device
  std::vector<double> memory_sizes;  // that it is sold with
  Figure memory_bytes_s;
  std::optional<Figure> free_bytes;       // for a model, where part is taken; else memory less 10%
  std::optional<Figure> storage_bytes_s;  // where weights come from that do not fit
  std::optional<Figure> cache_bytes;      // last level
  std::optional<Figure> host_bytes_s;     // the link over which weights come in each step, if any (Edge TPU)
  std::optional<Figure> watts;            // under load
  std::optional<Figure> idle_watts;

  // The machine that a program measured: replaces peaks and efficiency factors. Empty else.
  std::vector<TeamRate> teams;
  std::string measured;  // when, on which CPU

  double clock_share = 1;  // of the full clock, at which the watts are (predict/battery.h)

  // A simulated chip: its design prices it, nothing above does.
  std::optional<ChipDesign> chip;

  bool is_measured() const { return !teams.empty(); }
  // Bytes that weights, KV cache and the program may take. Infinite for a chip, whose design says nothing of
  // the memory behind its bus.
  double usable_bytes() const;

  friend bool operator==(const Device&, const Device&) = default;
};

// The figures of a device, by the names that its file gives them.
struct DeviceField {
  const char* table;  // "memory"
  const char* key;    // "bytes_s"
  const char* unit;   // "byte/s"
  std::variant<Figure Device::*, std::optional<Figure> Device::*> member;

  std::string name() const;                       // "memory.bytes_s"
  const Figure* Get(const Device& device) const;  // nullptr: absent
  Figure& Make(Device& device) const;
};
// In the order of files.
std::span<const DeviceField> DeviceFields();

// Throws Error(kUsage), its message beginning with the field's name, for what no device could have: zero or
// negative rates, a memory of more than 2^50 bytes, idle watts above those under load, no arithmetic at all;
// and for texts that are too long or not printable ASCII.
void CheckDevice(const Device& device);

}  // namespace edgewise
