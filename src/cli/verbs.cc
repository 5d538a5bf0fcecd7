#include "cli/verb.h"

namespace edgewise {

std::span<const Verb* const> AllVerbs() {
  static constexpr const Verb* kVerbs[] = {
      &kRunVerb,  &kChatVerb,     &kInspectVerb, &kTokenizeVerb,
      &kEvalVerb, &kQuantizeVerb, &kSynthVerb,   &kBenchVerb, &kCompareVerb,
      &kChipVerb, &kChipsVerb,    &kDevicesVerb,
  };
  return kVerbs;
}

}  // namespace edgewise
