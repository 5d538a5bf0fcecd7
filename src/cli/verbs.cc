#include "cli/verb.h"

namespace edgewise {

std::span<const Verb* const> AllVerbs() {
  static constexpr const Verb* kVerbs[] = {
      &kRunVerb,  &kChatVerb,     &kInspectVerb, &kTokenizeVerb,
      &kEvalVerb, &kQuantizeVerb, &kSynthVerb,   &kBenchVerb,
      &kPlanVerb, &kCompareVerb,  &kDevicesVerb, &kChipVerb,
      &kChipsVerb,
  };
  return kVerbs;
}

}  // namespace edgewise
