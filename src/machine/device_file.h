// A device in words (TOML). Ten lines are enough:
//
//   title = "My board (4x Cortex-A55, 2.0 GHz)"
//   kind = "cpu"
//   family = "arm-cpu"
//   cores = 4
//   [peak]                      # operations a second, a multiply-add counts twice
//   f32_ops_s = 64e9
//   [memory]
//   bytes = 4e9
//   bytes_s = { value = 12.8e9, from = "vendor", source = "LPDDR4-3200, 32 bits" }
//
// A figure is a number (then its provenance is "stated") or a table of value, from, source, and, where a
// source document says something, claimed, claimed_by and the verdict on it. docs/devices.md explains every
// key.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "machine/device.h"

namespace edgewise {

inline constexpr size_t kMostDeviceFileBytes = 256 << 10;
// Throws Error(kUsage) with file, line, key and reason for anything but a valid device; Error(kLimit) for too
// long a file. Named after the file.
Device ParseDevice(std::string_view text, const std::string& file);
// The same; nullopt for the file of a chip, which alone has a base or an array.
std::optional<Device> ParseUnlessChip(std::string_view text, const std::string& file);
// A file that ParseDevice reads back as the same device but for its name. Not of chips. Throws as
// CheckDevice.
std::string WriteDevice(const Device& device);

}  // namespace edgewise
