#pragma once
#include <map>
#include <string>
#include <string_view>

#include "oracle/case.h"

namespace attnfuzz {

inline constexpr int case_format_version = 1;

/// What CaseFile::expect holds, as a regular expression.
inline constexpr const char* expectation_pattern = "^(pass|fail:[a-z]+( [a-z0-9-]+)?)$";

/// A corpus file: a case and, for each target or "target@environment", the expected verdict:
/// "pass", "fail:<kind>", or "fail:<kind> <word>" with the signature or the likeliest cause's name.
struct CaseFile {
  Case c;
  std::string about;  ///< a line for people: what the case shows, and its source
  std::map<std::string, std::string> expect;
};

/// Strict: unknown keys, wrong types, impossible sizes throw InputError with the JSON path.
/// `where` names the file in errors. Schema: corpus/case.schema.json.
CaseFile parse_case(std::string_view json, const std::string& where);
CaseFile read_case(const std::string& file);

/// Canonical text: fixed key order, every convention written out; parse → write is byte-stable.
std::string write_case(const CaseFile& file);
inline std::string write_case(const Case& c) {
  return write_case(CaseFile{c, {}, {}});
}

/// The JSON Schema (2020-12) of the format, made from the same tables as the reader.
std::string case_schema();

}  // namespace attnfuzz
