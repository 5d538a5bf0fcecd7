#!/usr/bin/env python3
"""Writes a checkpoint of train.py as GGUF v3: python3 export_gguf.py best.pt f16|q8_0 OUT.gguf."""

import struct
import sys

import numpy as np
import torch

import corpus

ALIGNMENT = 32
F32, F16, Q8_0 = 0, 1, 8  # ggml's tensor types
FILE_TYPE = {F16: 1, Q8_0: 7}  # general.file_type: "mostly" this type
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # GGUF's metadata types


def pack_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    """A value of a scalar type, or of (ARRAY, element type)."""
    if isinstance(kind, tuple):
        items = b"".join(pack_value(kind[1], item) for item in value)
        return struct.pack("<IQ", kind[1], len(value)) + items
    if kind == STRING:
        return pack_string(value)
    return struct.pack({U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}[kind], value)


def pack_entry(key, kind, value):
    tag = kind[0] if isinstance(kind, tuple) else kind
    return pack_string(key) + struct.pack("<I", tag) + pack_value(kind, value)


def quantise_q8_0(weights):
    """Blocks of 32: an F16 scale, amax/127, and int8 values rounded half away from zero."""
    blocks = weights.reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = blocks * inverse  # By the F32 scale, as ggml does; F16 is what is stored.
    values = (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(np.int8)
    packed = np.empty(len(blocks), dtype=[("scale", "<f2"), ("values", "i1", 32)])
    packed["scale"], packed["values"] = scale[:, 0], values
    return packed.tobytes()


def encode_tensor(weights, matrix_type):
    """(type, bytes) of an array; vectors, here the norms, stay F32."""
    if weights.ndim == 1:
        return F32, weights.astype("<f4").tobytes()
    if matrix_type == Q8_0:
        return Q8_0, quantise_q8_0(weights)
    return F16, weights.astype("<f2").tobytes()


def metadata(shape, vocabulary, matrix_type, parameters):
    tokens, scores, types = zip(*vocabulary.tokens())
    return [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "Edgewise Tiny"),
        ("general.description", STRING,
         f"{parameters / 1e6:.1f} million parameters, trained by the Edgewise project on "
         "Shakespeare and fairy tales in the public domain"),
        ("general.license", STRING, "apache-2.0"),
        ("general.languages", (ARRAY, STRING), ["en"]),
        ("general.file_type", U32, FILE_TYPE[matrix_type]),
        ("general.quantization_version", U32, 2),
        ("general.alignment", U32, ALIGNMENT),
        ("llama.vocab_size", U32, shape["vocabulary"]),
        ("llama.context_length", U32, shape["context"]),
        ("llama.embedding_length", U32, shape["width"]),
        ("llama.block_count", U32, shape["layers"]),
        ("llama.feed_forward_length", U32, shape["ff"]),
        ("llama.attention.head_count", U32, shape["heads"]),
        ("llama.attention.head_count_kv", U32, shape["kv_heads"]),
        ("llama.attention.key_length", U32, shape["head_size"]),
        ("llama.attention.value_length", U32, shape["head_size"]),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT, shape["norm_epsilon"]),
        ("llama.rope.dimension_count", U32, shape["head_size"]),
        ("llama.rope.freq_base", FLOAT, shape["rope_base"]),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", (ARRAY, STRING), tokens),
        ("tokenizer.ggml.scores", (ARRAY, FLOAT), scores),
        ("tokenizer.ggml.token_type", (ARRAY, I32), types),
        ("tokenizer.ggml.unknown_token_id", U32, corpus.UNKNOWN),
        ("tokenizer.ggml.bos_token_id", U32, corpus.BOS),
        ("tokenizer.ggml.eos_token_id", U32, corpus.EOS),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def write_gguf(path, entries, tensors):
    """`tensors`: (name, numpy shape, type, bytes). GGUF lists dimensions fastest first."""
    infos, data = b"", b""
    for name, dimensions, kind, payload in tensors:
        infos += pack_string(name) + struct.pack("<I", len(dimensions))
        infos += struct.pack(f"<{len(dimensions)}Q", *reversed(dimensions))
        infos += struct.pack("<IQ", kind, len(data))
        data += payload + bytes(-len(payload) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    head += b"".join(pack_entry(*entry) for entry in entries) + infos
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT) + data)


def main():
    if len(sys.argv) != 4 or sys.argv[2] not in ("f16", "q8_0"):
        sys.exit(__doc__)
    checkpoint = torch.load(sys.argv[1])
    matrix_type = {"f16": F16, "q8_0": Q8_0}[sys.argv[2]]
    vocabulary = corpus.Vocabulary(checkpoint["pieces"])
    weights = {name: value.numpy() for name, value in checkpoint["model"].items()}
    parameters = sum(value.size for value in weights.values())
    tensors = [(name, value.shape, *encode_tensor(value, matrix_type))
               for name, value in weights.items()]
    write_gguf(sys.argv[3], metadata(checkpoint["shape"], vocabulary, matrix_type, parameters),
               tensors)


if __name__ == "__main__":
    main()
