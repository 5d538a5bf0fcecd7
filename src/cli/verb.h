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

#include "cli/flags.h"

namespace edgewise {

// Runs the verb once its flags are parsed; returns the exit status: 0 done, 1 failed. Throws Error:
// main prints the message in one line and ends with 2 for ErrorCode::kUsage, else with 1.
using VerbMain = std::function<int()>;

struct Verb {
  const char* name;
  const char* summary;      // one line in `edgewise --help`, without a full stop
  const char* description;  // paragraphs above the flags in `edgewise NAME --help`
  const char* examples;     // below the flags: command lines, each ending in \n
  VerbMain (*add)(Flags& flags);
};

extern const Verb kRunVerb, kChatVerb, kInspectVerb, kTokenizeVerb, kBenchVerb, kEvalVerb,
    kQuantizeVerb, kSynthVerb;

// All verbs, in the order of `edgewise --help`.
std::span<const Verb* const> AllVerbs();

}  // namespace edgewise
