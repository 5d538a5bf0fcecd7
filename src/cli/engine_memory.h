// What `run` takes of a model that may exist as shapes only: the engine's own plan, for the
// predictor.
#pragma once

#include "engine/memory_plan.h"
#include "model/model.h"
#include "predict/request.h"

namespace edgewise {

// The file that `synth` would write of this model. Published files differ by their vocabulary only:
// texts of 5 to 7 bytes a token in place of about 4, and merges of byte pairs where they have such.
FileFacts FactsOfShape(const Model& model);

// The engine's options of a use: rows of a step enough for a chunk of the prompt and for the drafts
// of all sequences. Throws as ResolveOptions.
EngineOptions EngineOptionsFor(const Model& model, const Usage& usage, uint32_t threads);

// `file`: null for a model of shapes, whose file and vocabulary are then taken as synth makes them.
MemoryPlan PlanRun(const Model& model, const Usage& usage, uint32_t threads, const Gguf* file = nullptr);

// The same by the kinds of the predictor.
MemoryNeed NeedOf(const MemoryPlan& plan);

}  // namespace edgewise
