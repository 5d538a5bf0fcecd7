// The documents' scenarios and design exercises as data: what is asked, what the documents answer.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "predict/search.h"

namespace edgewise {

// A configuration that the documents propose.
struct Proposal {
  const char* shape;
  const char* recipe;
  DType kv = DType::kF16;
};

struct Scenario {
  const char* name;    // "mobile-app"
  const char* title;   // "a mobile app"
  const char* asked;   // in the documents' words
  const char* claim;   // what they answer
  const char* device;  // of the catalog: the sort of device that they name
  double memory_bytes = 0, ttft_s = 0, tok_s = 0, watts = 0;  // 0: no limit
  uint32_t prompt = 64, generate = 64, sequences = 1;
  std::vector<Proposal> proposals;
  const char* models = "";  // what the search may choose: "" of all named shapes, else one of them

  Limits limits() const;
  Usage usage() const;
};

std::span<const Scenario> Scenarios();
// nullptr for an unknown name.
const Scenario* FindScenario(std::string_view name);

// The best device that the chapter's figures allow: 4 GB, LPDDR5-6400 of 32 bits, an NPU of 15 TOPS in 2 W.
// For ceilings: what such a device cannot do, no program makes it do.
Device DocumentsPhone();
// All of a device's peaks.
Efficiency Ceiling();

}  // namespace edgewise
