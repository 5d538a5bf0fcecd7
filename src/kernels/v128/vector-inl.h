// 128-bit vectors and the few operations that the quantised kernels are made of; one of the two headers
// below, by the instruction set this source is compiled for. All in an anonymous namespace: nothing
// here may become a symbol the linker shares.
#pragma once

#if defined(__aarch64__)
#include "kernels/v128/neon-inl.h"
#else
#include "kernels/v128/sse4-inl.h"
#endif
