// What people want of a small chip: the applications that the chip's documents judge, each with the speed
// that makes it useful and what the documents say about it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "machine/chip_search.h"

namespace edgewise {

struct Application {
  const char* name;  // "tinyllama"
  const char* what;  // "TinyLlama 1.1B, chat"
  Want want;
  const char* why;    // where the demand comes from
  int claimed_stars;  // of five, by the documents; 0: they give none
  const char* claim;  // what else the documents say
  // The task with so many tokens in a step; those that do not decode are the same for any number.
  Task (*task)(uint64_t tokens);
};

std::span<const Application> Applications();
// Throws Error(kUsage) for an unknown name, listing those known.
const Application& ApplicationNamed(std::string_view name);

// Duration of the sound that a step of a network takes for each of its rows; 0 for those that hear none.
double MediaSeconds(std::string_view network);
// One step of a network, by name.
Task TaskOfNetwork(std::string_view network, const WorkStep& step);

struct Verdict {
  const Application* application;
  Speed speed;
  int stars = 0;
};
// All applications on a design, one token at a time.
std::vector<Verdict> JudgeApplications(const ChipDesign& design, AttentionOn attention);

}  // namespace edgewise
