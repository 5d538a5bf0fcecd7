// Small tables of published rows for tests.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "predict/published.h"

namespace edgewise {

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  EDGEWISE_CHECK(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline Figure FigureOf(double value) {
  Figure figure;
  figure.value = value;
  return figure;
}

// A CPU of 10 GB/s, four cores; "gpu-..." is a GPU of 100 GB/s that computes a hundred times as fast. There is
// no "nobody".
inline Device TestBoard(const std::string& name) {
  if (name == "nobody") throw Error(ErrorCode::kNotFound, "no device is called nobody");
  Device device;
  device.name = device.published_as = name;
  device.kind = name.starts_with("gpu") ? DeviceKind::kGpu : DeviceKind::kCpu;
  device.family = name.starts_with("gpu") ? "cards" : "boards";
  device.cores = name.starts_with("gpu") ? 0 : 4;
  device.f32_ops_s = FigureOf(100e9);
  device.f16_ops_s = FigureOf(name.starts_with("gpu") ? 20e12 : 200e9);
  device.int8_ops_s = FigureOf(400e9);
  device.memory_bytes = FigureOf(16e9);
  device.memory_bytes_s = FigureOf(name.starts_with("gpu") ? 100e9 : 10e9);
  device.watts = FigureOf(10);
  return device;
}

struct TestRow {
  double tok_s = 1;
  uint32_t threads = 0;
  std::string recipe = "Q4_0";
  std::string device = "board";
  std::string shape = "llama2-7b";
  double watts = 0;  // 0: no such row
  double prefill_tok_s = 0;
  std::string engine = "test";
};

inline PublishedTable TableOf(const std::vector<TestRow>& rows) {
  std::vector<PublishedSpeed> speeds;
  std::vector<PublishedEnergy> energy;
  for (const TestRow& row : rows) {
    PublishedSpeed& speed = speeds.emplace_back();
    speed.id = StrCat("row-", speeds.size());
    speed.device = row.device;
    speed.engine = row.engine;
    speed.shape = row.shape;
    speed.recipe = row.recipe;
    speed.threads = row.threads;
    speed.generated = 128;
    speed.tok_s = row.tok_s;
    speed.prefill_tok_s = row.prefill_tok_s;
    speed.prompt = row.prefill_tok_s > 0 ? 512 : 0;
    speed.source = "test";
    if (row.watts > 0) energy.push_back({speed.id, row.watts, "wall", 0});
  }
  return PublishedTable(speeds, "p.csv", energy, "e.csv",
                        [](const std::string& name) { return TestBoard(name); });
}

}  // namespace edgewise
