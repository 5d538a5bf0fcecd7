// --backend: who multiplies a model's matrices, and what a simulated chip did.
#pragma once

#include <memory>
#include <string>

#include "chip/integer_backend.h"
#include "cli/json.h"
#include "cli/options.h"
#include "machine/chip.h"

namespace edgewise {

// What --backend names, made for one model.
class ChosenBackend {
 public:
  // "cpu": the engine's own kernels. Throws Error as ChipCatalog::Find does; Error(kUnsupported) naming the
  // tensor that the backend cannot take. The model must outlive it.
  ChosenBackend(const EngineFlags& flags, const Model& model);

  ProductBackend* get() { return backend_.get(); }  // nullptr: the engine's own
  bool is_chip() const { return design_ != nullptr; }

  // Of a chip, over all steps until now: `tokens` of the text, computed in so many rows (more where drafts
  // were refused or a context shift computed again). Several lines without the last newline.
  std::string ToText(uint64_t tokens, uint64_t rows) const;
  void SetIn(Json& json, uint64_t tokens, uint64_t rows) const;  // "chip": {...}

 private:
  std::unique_ptr<const ChipDesign> design_;
  std::unique_ptr<chip::IntegerBackend> backend_;
};

}  // namespace edgewise
