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

  // Of a chip, over all steps until now; `tokens` of them were computed. Several lines without the last
  // newline.
  std::string ToText(uint64_t tokens) const;
  void SetIn(Json& json, uint64_t tokens) const;  // "chip": {...}

 private:
  std::unique_ptr<const ChipDesign> design_;
  std::unique_ptr<chip::IntegerBackend> backend_;
};

}  // namespace edgewise
