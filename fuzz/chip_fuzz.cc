// Any bytes as a chip file: a design or an Error. A design reads back as it was written, and prices products
// with phases that add up. Findings become cases of src/machine/chip_file_test.cc.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "machine/chip_cost.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

// Whatever the base is called, it is this one.
constexpr auto kAnyBase = [](const std::string&) { return ChipDesign(); };

void Price(const ChipDesign& design, const ProductShape& shape) {
  try {
    const ChipCost cost = PriceProduct(design, shape);
    const ChipPhases& p = cost.phases;
    EDGEWISE_CHECK(p.load + p.compute + p.drain + p.stall == cost.cycles);
    EDGEWISE_CHECK(cost.useful_macs <= cost.padded_macs || design.zero_skip == ZeroSkip::kTwoOfFour);
    EDGEWISE_CHECK(cost.seconds > 0 && cost.joules.total() >= 0);
  } catch (const Error& error) {
    EDGEWISE_CHECK(error.code() == ErrorCode::kLimit);  // as CheckDesign has passed
  }
}

void Run(std::string_view text) {
  try {
    const ChipDesign design = ParseChip(text, "fuzz.toml", kAnyBase);
    EDGEWISE_CHECK(ParseChip(WriteChip(design), "fuzz.toml", kAnyBase) == design);
    EDGEWISE_CHECK(ChipArea(design) >= 0);
    for (const ProductShape& shape : {ProductShape{1, 1, 1}, {1, 2048, 5632}, {13, 70, 200, 3}}) {
      Price(design, shape);
    }
  } catch (const Error& error) {
    EDGEWISE_CHECK(error.message().find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace edgewise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  edgewise::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
