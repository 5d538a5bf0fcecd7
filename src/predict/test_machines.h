// Devices and models whose prices can be computed by hand.
#pragma once

#include "base/error.h"
#include "machine/chip_catalog.h"
#include "machine/device_catalog.h"
#include "model/model.h"
#include "predict/request.h"
#include "quant/kv_type.h"

namespace edgewise {

// 10 GB/s; 100, 200 and 400 Gop/s in floats, halves and bytes.
inline Device PlainDevice() {
  Device device;
  device.name = "plain";
  device.cores = 4;
  device.f32_ops_s = Figure{.value = 100e9};
  device.f16_ops_s = Figure{.value = 200e9};
  device.int8_ops_s = Figure{.value = 400e9};
  device.memory_bytes = Figure{.value = 64e9};
  device.memory_bytes_s = Figure{.value = 10e9};
  device.watts = Figure{.value = 5};
  return device;
}

inline constexpr DType kMeasuredTypes[] = {DType::kQ4_0, DType::kQ6_K, DType::kQ8_0, DType::kF16};

inline TeamRate TeamOf(uint32_t threads, double read_bytes_s, double mac_s) {
  TeamRate team;
  team.threads = threads;
  team.read_bytes_s = Figure{.value = read_bytes_s};
  for (const DType type : kMeasuredTypes) {
    team.products.push_back({.type = type, .least_rows = 1, .most_rows = 1, .memory_share = 0.9,
                             .unpack_s = 2 * mac_s, .mac_s = mac_s});
    team.products.push_back({.type = type, .least_rows = 2, .most_rows = 8, .memory_share = 0.8,
                             .unpack_s = 3 * mac_s, .mac_s = mac_s});
    team.products.push_back({.type = type, .least_rows = 9, .most_rows = 512, .memory_share = 0.7,
                             .unpack_s = 4 * mac_s, .mac_s = mac_s / 2, .each_s = 80 * mac_s});
  }
  for (const DType type : {DType::kF16, DType::kQ8_0}) {
    team.attention.push_back({.type = type, .least_rows = 1, .most_rows = 8, .memory_share = 0.5,
                              .unpack_s = mac_s, .mac_s = mac_s, .each_s = 20 * mac_s});
    team.attention.push_back({.type = type, .least_rows = 9, .most_rows = 512, .memory_share = 0.5,
                              .unpack_s = mac_s, .mac_s = mac_s / 4, .each_s = 30 * mac_s});
  }
  team.element_bytes_s = 2 * read_bytes_s;
  team.phase_s = 5e-6;
  team.step_s = 30e-6;
  return team;
}

// Measured with one thread and with four.
inline Device MeasuredMachine() {
  Device device = PlainDevice();
  device.name = "machine";
  device.teams = {TeamOf(1, 8e9, 100e-12), TeamOf(4, 16e9, 25e-12)};
  return device;
}

inline Device ChipNamed(const char* name) {
  return DeviceOf(ChipCatalog({EDGEWISE_SOURCE_DIR "/chips"}).Find(name));
}

inline Model ModelOf(const char* shape, const char* recipe = "Q4_0") {
  return Model::FromShape(ShapeNamed(shape), recipe);
}

inline Step StepOf(const Model& model, std::vector<Sequence> sequences, DType k_type = DType::kF16,
                   DType v_type = DType::kF16) {
  Step step;
  BuildStep(model, k_type, v_type, sequences, step);
  return step;
}

inline const Op& OpWith(const Step& step, Role role) {
  for (const Op& op : step.ops) {
    if (op.role == role) return op;
  }
  EDGEWISE_CHECK(false);
  return step.ops[0];
}

// Weights and cache, and as much scratch as someone may need.
inline constexpr auto PlainNeed = [](const Model& model, const Usage& usage) -> MemoryNeed {
  const ModelConfig& c = model.config();
  const uint64_t position = c.layers * c.kv_heads *
                            (KvRowBytes(usage.k_type, c.head_dim) + KvRowBytes(usage.v_type, c.head_dim));
  return {.weights = model.weight_bytes(),
          .kv = position * usage.positions() * usage.batch,
          .scratch = 50'000'000,
          .other = 10'000'000};
};

}  // namespace edgewise
