// The text of given tensors in a case file, at /data/given. Three spellings:
//   {"q": [1, 0, 0.5, "NaN", "-inf"], …}   each tensor's elements, row-major (small cases)
//   "0003.safetensors"                     a file beside the case file
//   "base64:…"                             such a file's bytes (large cases: the text stands alone)
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "oracle/given.h"

namespace attnfuzz {

inline constexpr std::string_view given_key = "given";

/// With more elements than this a case is written in base64.
inline constexpr int64_t most_given_numbers = 1024;

/// The data of a case that is otherwise read. A file's name is relative to the folder of `where`.
/// Throws InputError for anything but exactly the tensors of given_specs(c).
Data read_given(const Case& c, const nlohmann::json& json, const std::string& where);

/// As it stands in a text without files beside it.
nlohmann::ordered_json written_given(const Case& c);

/// The case's tensors as a safetensors file.
std::string given_safetensors(const Case& c);

/// The schema of `data` with given tensors.
nlohmann::ordered_json given_schema();

}  // namespace attnfuzz
