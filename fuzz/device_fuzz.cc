// Any bytes as a device file: a device or an Error of one line. A device reads back as it was written, and
// has memory to use and figures that can be. Findings become cases of src/machine/device_file_test.cc.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "machine/device_file.h"

namespace edgewise {
namespace {

void Run(std::string_view text) {
  try {
    const Device device = ParseDevice(text, "fuzz.toml");
    EDGEWISE_CHECK(ParseDevice(WriteDevice(device), "fuzz.toml") == device);
    EDGEWISE_CHECK(device.usable_bytes() > 0 && device.memory_bytes_s.value > 0);
    for (const DeviceField& field : DeviceFields()) {
      const Figure* figure = field.Get(device);
      EDGEWISE_CHECK(figure == nullptr || figure->value > 0);
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
