#include "cli/verb.h"

namespace edgewise {
namespace {

std::span<const Verb* const> Parts() {
  static constexpr const Verb* kParts[] = {&kChipTableVerb, &kChipMatmulVerb,      &kChipExplainVerb,
                                           &kChipTraceVerb, &kChipEmitVerb,        &kChipFeasibilityVerb,
                                           &kChipSweepVerb,  &kChipZerosVerb};
  return kParts;
}

}  // namespace

const Verb kChipVerb = {
    .name = "chip",
    .summary = "simulate models and products on a tile accelerator",
    .description =
        "Chips are described by files (edgewise chips lists the named ones). Figures are priced by closed "
        "forms, or simulated: results to the bit and cycles to the edge, by executing every tile.",
    .examples = "edgewise chip table --chip compact-532 --model tinyllama-1.1b\n"
                "edgewise chip matmul 1 2048 2048 --chip compact-rtl --execute\n",
    .add = nullptr,
    .parts = Parts};

}  // namespace edgewise
