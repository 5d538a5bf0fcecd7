// Published measurements of other people: speeds and watts, as two tables of plain facts
// (devices/published.csv, devices/energy.csv), and each row put beside what its device could do at best. What
// they teach about devices that nobody measured is in efficiency.h; docs/published.md shows every row.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "machine/device.h"
#include "predict/efficiency.h"
#include "quant/recipe.h"

namespace edgewise {

// One sequence decoded by one program on one device.
struct PublishedSpeed {
  std::string id;
  std::string device;        // of the device catalog
  std::string variant;       // "24c": where the device comes in several
  std::string engine;        // whose kernels ran: "llama.cpp" (Ollama too), "llama.cpp-vulkan", "calm"
  std::string shape;         // of model/shapes.h
  std::string recipe;        // "Q4_K_M"; of formats that are not ours, the one of as many bits
  uint32_t threads = 0;      // 0: not said, or no matter
  uint32_t prompt = 0;       // tokens that prefill_tok_s was measured with; 0: not said
  uint32_t generated = 0;    // tokens that tok_s is the mean of, from an empty cache
  double tok_s = 0;          // decode
  double prefill_tok_s = 0;  // 0: not said
  std::string unscored;      // why the row is only shown ("untuned build; the source says"); "": it counts
  std::string source, note;
  uint32_t line = 0;  // of the file
};

// What a device drew while a row of the speeds was measured.
struct PublishedEnergy {
  std::string speed;  // its id
  double watts = 0;
  std::string where;  // "wall": the whole machine; "board": what the board says of itself
  uint32_t line = 0;
};

inline constexpr size_t kMostPublishedBytes = 1 << 20;
// Comma-separated, no quotes; lines that begin with # and empty ones do not count; the first other line
// names the columns. Throw Error(kBadFile) with file, line, column and reason for anything else,
// Error(kLimit) for too long a text.
std::vector<PublishedSpeed> ParsePublishedSpeeds(std::string_view csv, const std::string& file);
std::vector<PublishedEnergy> ParsePublishedEnergy(std::string_view csv, const std::string& file);

// Bits that a weight takes, as classes know them: within one, a program unpacks with nearly the same work and
// reads nearly the same bytes. By the base type of the recipe.
enum class BitClass : uint8_t { k2To3, k4, k5To6, k8, k16, k32 };
const char* NameOf(BitClass bits);  // "4-bit"
BitClass BitClassOf(const Recipe& recipe);

// A row of the speeds with its decoding step counted, on its device at best.
struct Observation {
  PublishedSpeed row;
  Device device;
  BitClass bits = BitClass::k4;
  double seconds = 0;        // of a token, measured
  double read_s = 0;         // at the whole bandwidth: weights, cache, activations
  double multiply_s = 0;     // at the whole OneRowPeak of the threads that ran: the products
  uint32_t ops = 0;          // of the step's list
  double prefill_share = 0;  // of the peak, in prefill; 0: not known

  std::string ClassName() const;  // "nvidia-gpu x llama.cpp x 4-bit"
};

class PublishedTable {
 public:
  using DeviceOf = FunctionRef<Device(const std::string& name)>;
  // Throws Error(kBadFile) naming file and line for a device, shape or recipe that is not there, and for
  // watts of no speed.
  PublishedTable(std::vector<PublishedSpeed> speeds, const std::string& speeds_file,
                 std::vector<PublishedEnergy> energy, const std::string& energy_file, DeviceOf device_of);

  const std::vector<Observation>& observations() const { return observations_; }
  const std::vector<PublishedEnergy>& energy() const { return energy_; }
  const Observation& Find(std::string_view id) const;  // requires that there is one

  // What `make` gives for this key the first time it is asked for: many devices share a fit. `make` must not
  // ask here itself. Any thread.
  Efficiency Remember(const std::string& key, FunctionRef<Efficiency()> make) const;

 private:
  struct Memo {
    std::mutex mutex;
    std::map<std::string, Efficiency> known;
  };

  std::vector<Observation> observations_;
  std::vector<PublishedEnergy> energy_;
  std::unique_ptr<Memo> memo_ = std::make_unique<Memo>();
};

// A class must have so many rows to be fitted and scored.
inline constexpr size_t kLeastRows = 3;

}  // namespace edgewise
