// Formulas of a line each, for questions asked without a model file: nominal sizes, transfers of attention,
// bounds of error. Where a document prints another formula than what is so, that one is in `printed`: to be
// shown beside the right value, never as an answer.
#pragma once

#include <cstdint>
#include <span>

namespace edgewise {

// Of weights in so many bits each, without scales: 7e9 in 4 bits are 3.5 GB, in Q4_0's 4.5 bits 3.94 GB.
double NominalWeightBytes(double parameters, double bits);
// Of keys and values of one position, without scales.
double NominalKvBytes(uint32_t layers, uint32_t kv_heads, uint32_t head_dim, double bits);
// Positions at which reading the cache costs `share` of reading the weights.
double PositionsForKvShare(double weight_bytes, double share, double kv_bytes_per_position);
// Activations alive at once when buffers are reused from layer to layer: residual, gate and up.
double PeakActivationBytes(double rows, double width, double ffn, double value_bytes);

// Elements that attention over n positions with heads of d moves to and from memory: as matrices of n x n,
// and tile by tile with m elements on the chip (Dao et al. 2022: Theta(n d + n^2) and Theta(n^2 d^2 / m)).
double StandardAttentionElements(double n, double d);
double FlashAttentionElements(double n, double d, double m);

// A bound of the error after layers of operator norms w whose inputs get relative errors e:
// sum of w_i e_i times the norms of all later layers. Requires as many errors as norms.
double PropagatedError(std::span<const double> norms, std::span<const double> errors);

// Loss of a student that learns from a teacher's logits and the right answer, in nats:
// alpha CE(y, softmax(s)) + (1 - alpha) T^2 KL(softmax(t / T) | softmax(s / T)). Requires as many logits of
// either, right < their number, temperature > 0.
double DistillationLoss(std::span<const double> teacher, std::span<const double> student, size_t right,
                        double alpha, double temperature);

namespace printed {

// 12 L d^2 + V d: multi-head attention, a feed-forward layer of 8 d^2, one vocabulary matrix. Off by -2.4%
// for Llama-2-7B, +6.6% for TinyLlama, -13% for Llama-3-8B.
double Parameters(double layers, double width, double vocab);
// L * bytes * 2 * d: right without grouped-query attention only.
double KvBytes(double layers, double width, double value_bytes);
// bandwidth / (2 P bytes B): counts every byte twice, and for every sequence of a batch again.
double TokensPerSecond(double bytes_s, double parameters, double weight_bytes, double batch);

}  // namespace printed
}  // namespace edgewise
