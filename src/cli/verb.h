// A verb of the command line, `edgewise NAME ...`. Each lives in a file verb_NAME.cc of its own, as
//
//   namespace {
//   struct BenchOptions { ... };                      // one struct per verb, defaults in place
//   int Bench(const BenchOptions& options) { ... }    // the story
//   VerbMain Add(Flags& flags) {
//     auto options = std::make_shared<BenchOptions>();
//     flags.Add("-m,--model", options->model, "FILE", "the GGUF file");
//     return [options] { return Bench(*options); };
//   }
//   }  // namespace
//   const Verb kBenchVerb = {"bench", "prompt and generation speed", "...", "...", Add};
//
// is declared at the end of this header (a constant that is declared nowhere else stays private to its
// file), and has its place in the table of verbs.cc.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "cli/flags.h"

namespace edgewise {

// Runs the verb once its flags are parsed; returns the exit status: 0 done, 1 failed. Throws Error:
// main prints the message in one line and ends with 2 for ErrorCode::kUsage, else with 1.
using VerbMain = std::function<int()>;

struct Verb {
  const char* name;         // "run"; of a part of a verb both words, "chip table"
  const char* summary;      // one line in `edgewise --help`, without a full stop
  const char* description;  // paragraphs above the flags in `edgewise NAME --help`
  const char* examples;     // below the flags: command lines, each ending in \n
  VerbMain (*add)(Flags& flags);  // null where there are parts
  // `edgewise chip table`: verbs of their own, chosen by the word after this one's name.
  std::span<const Verb* const> (*parts)() = nullptr;

  // "table" of "chip table".
  std::string_view last_word() const {
    const std::string_view words = name;
    return words.substr(words.find(' ') + 1);
  }
};

extern const Verb kRunVerb, kChatVerb, kInspectVerb, kTokenizeVerb, kBenchVerb, kEvalVerb,
    kQuantizeVerb, kSynthVerb, kPlanVerb, kCompareVerb, kDevicesVerb, kChipsVerb, kChipVerb;
// Parts of `chip`: verb_chip.cc has their table.
extern const Verb kChipMatmulVerb, kChipTableVerb, kChipExplainVerb, kChipTraceVerb, kChipEmitVerb,
    kChipFeasibilityVerb, kChipSweepVerb, kChipZerosVerb;

// All verbs, in the order of `edgewise --help`.
std::span<const Verb* const> AllVerbs();

}  // namespace edgewise
