#include "oracle/given_io.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "oracle/base64.h"
#include "oracle/safetensors.h"
#include "oracle/strict_json.h"
#include "oracle/suggest.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* path = "/data/given";
constexpr std::string_view base64_prefix = "base64:";
constexpr std::string_view nan_word = "NaN", inf_word = "inf", minus_inf_word = "-inf";

std::string name_of(DType dtype, bool boolean) {
  return boolean ? "booleans" : std::string(name(dtype));
}

/// Rejects names other than those of the specs.
void check_names(const std::vector<GivenSpec>& specs, const std::vector<std::string>& found,
                 const std::string& where, const std::string& at) {
  std::vector<std::string> known;
  for (const GivenSpec& spec : specs) known.push_back(spec.name);
  for (const std::string& each : found)
    if (std::find(known.begin(), known.end(), each) == known.end())
      throw InputError(where, at + pointer_part(each),
                       fmt::format("expected only the tensors {}{}", fmt::join(known, ", "),
                                   did_you_mean(each, known)));
  for (const std::string& each : known)
    if (std::find(found.begin(), found.end(), each) == found.end())
      throw InputError(
          where, at,
          fmt::format("expected the tensors {}, found no \"{}\"", fmt::join(known, ", "), each));
}

std::vector<Tensor> from_file(const std::vector<GivenSpec>& specs, std::vector<NamedTensor> tensors,
                              const std::string& where, const std::string& at) {
  std::vector<std::string> names;
  for (const NamedTensor& each : tensors) names.push_back(each.name);
  check_names(specs, names, where, at);
  std::vector<Tensor> ordered;
  for (const GivenSpec& spec : specs) {
    NamedTensor& found = *std::find_if(tensors.begin(), tensors.end(),
                                       [&](const auto& each) { return each.name == spec.name; });
    const std::string place = at + pointer_part(spec.name);
    if (found.boolean != spec.boolean || found.tensor.dtype != spec.dtype)
      throw InputError(where, place + "/dtype",
                       fmt::format("expected {}, found {}", name_of(spec.dtype, spec.boolean),
                                   name_of(found.tensor.dtype, found.boolean)));
    if (found.tensor.shape != spec.shape)
      throw InputError(where, place + "/shape",
                       fmt::format("expected {}, found {}", to_string(spec.shape),
                                   to_string(found.tensor.shape)));
    ordered.push_back(std::move(found.tensor));
  }
  return ordered;
}

/// One element of a list; nothing for what is none.
std::optional<double> number_of(const Json& json, const GivenSpec& spec) {
  if (json.is_number()) {
    const double x = json.get<double>();
    if (spec.boolean) return x == 0 || x == 1 ? std::optional(x) : std::nullopt;
    return std::isfinite(round_to(spec.dtype, x)) ? std::optional(x) : std::nullopt;
  }
  if (spec.boolean) return {};
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (json == nan_word) return std::numeric_limits<double>::quiet_NaN();
  if (spec.dtype == DType::e4m3) return {};  // it has no infinities
  if (json == inf_word) return infinity;
  if (json == minus_inf_word) return -infinity;
  return {};
}

Tensor from_list(const GivenSpec& spec, const Json& json, const std::string& where) {
  const std::string at = path + pointer_part(spec.name);
  const int64_t count = element_count(spec.shape);
  if (!json.is_array() || static_cast<int64_t>(json.size()) != count)
    throw InputError(where, at,
                     fmt::format("expected a list of {} numbers for the shape {}{}", count,
                                 to_string(spec.shape),
                                 json.is_array() ? fmt::format(", found {}", json.size()) : ""));
  std::vector<double> values;
  values.reserve(json.size());
  for (size_t k = 0; k < json.size(); ++k) {
    const std::optional<double> value = number_of(json[k], spec);
    if (!value)
      throw InputError(
          where, fmt::format("{}/{}", at, k),
          spec.boolean
              ? std::string("expected 0 or 1")
              : fmt::format("expected a number that {} can hold, \"NaN\", \"inf\" or \"-inf\"",
                            name(spec.dtype)));
    values.push_back(*value);
  }
  return Tensor::from_doubles(spec.dtype, spec.shape, values);
}

std::vector<Tensor> from_lists(const std::vector<GivenSpec>& specs, const Json& json,
                               const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [key, list] : json.items()) names.push_back(key);
  check_names(specs, names, where, path);
  std::vector<Tensor> tensors;
  for (const GivenSpec& spec : specs) tensors.push_back(from_list(spec, json.at(spec.name), where));
  return tensors;
}

/// A file's name as a case may have it: below the case's folder.
std::string file_beside(const std::string& text, const std::string& where) {
  const fs::path named(text);
  const bool inside = named.is_relative() && named.extension() == ".safetensors" &&
                      std::find(named.begin(), named.end(), "..") == named.end();
  if (!inside)
    throw InputError(where, path,
                     "expected the name of a .safetensors file below the case's folder, an object "
                     "with the tensors' elements, or \"base64:\" and such a file's bytes");
  return (fs::path(where).parent_path() / named).string();
}

std::vector<Tensor> read_tensors(const std::vector<GivenSpec>& specs, const Json& json,
                                 const std::string& where) {
  if (json.is_object()) return from_lists(specs, json, where);
  const std::string text = json.is_string() ? json.get<std::string>() : "";
  if (!text.starts_with(base64_prefix)) {
    const std::string file = file_beside(text, where);
    return from_file(specs, read_safetensors(file), file, "");
  }
  const std::optional<std::string> bytes =
      from_base64(std::string_view(text).substr(base64_prefix.size()));
  if (!bytes) throw InputError(where, path, "expected base64 behind \"base64:\"");
  const std::string there = where + ": " + path;
  return from_file(specs, parse_safetensors(*bytes, there), there, "");
}

/// The number with the fewest digits that the dtype rounds to x.
double shortest(DType dtype, double x) {
  if (dtype == DType::f64) return x;
  for (int digits = 1; digits < 17; ++digits) {
    const std::string text = fmt::format("{:.{}g}", x, digits);
    double read = 0;
    std::from_chars(text.data(), text.data() + text.size(), read);
    if (round_to(dtype, read) == x) return read;
  }
  return x;
}

OrderedJson written_number(DType dtype, double x) {
  if (std::isnan(x)) return nan_word;
  if (std::isinf(x)) return x > 0 ? inf_word : minus_inf_word;
  const double number = shortest(dtype, x);
  const bool whole = std::abs(number) < 0x1p53 && std::trunc(number) == number;
  if (whole && !(number == 0 && std::signbit(number))) return static_cast<int64_t>(number);
  return number;
}

}  // namespace

Data read_given(const Case& c, const Json& json, const std::string& where) {
  for (size_t k = 0; k < c.problem.mask.rules.size(); ++k)
    if (const RuleSpec& rule = *c.problem.mask.rules[k].spec; rule.drawn)
      throw InputError(where, fmt::format("/problem/mask/rules/{}", k),
                       fmt::format("expected no rule \"{}\" beside given tensors, which do not "
                                   "hold its numbers (the rule \"{}\" has them given)",
                                   rule.name, rule.adds_bias ? "bias" : "boolean"));
  const Data data = given_data(c, read_tensors(given_specs(c), json, where), where, path);
  Case with = c;
  with.data = data;
  if (const std::optional<Rejection> found = rejection(with))
    throw InputError(where, path,
                     fmt::format("expected tensors without infinities and NaN here ({}: {})",
                                 found->path, found->expected));
  return data;
}

OrderedJson written_given(const Case& c) {
  const std::vector<GivenSpec> specs = given_specs(c);
  const int64_t count = std::accumulate(
      specs.begin(), specs.end(), int64_t{0},
      [](int64_t sum, const GivenSpec& spec) { return sum + element_count(spec.shape); });
  if (count > most_given_numbers)
    return std::string(base64_prefix) + to_base64(given_safetensors(c));
  const std::vector<Tensor> tensors = given_tensors(c);
  OrderedJson json = OrderedJson::object();
  for (size_t k = 0; k < specs.size(); ++k) {
    OrderedJson& list = json[specs[k].name] = OrderedJson::array();
    for (const double x : tensors[k].to_doubles())
      list.push_back(written_number(specs[k].dtype, x));
  }
  return json;
}

std::string given_safetensors(const Case& c) {
  std::vector<NamedTensor> named;
  const std::vector<GivenSpec> specs = given_specs(c);
  std::vector<Tensor> tensors = given_tensors(c);
  for (size_t k = 0; k < specs.size(); ++k)
    named.push_back({specs[k].name, specs[k].boolean, std::move(tensors[k])});
  return write_safetensors(named);
}

OrderedJson given_schema() {
  const OrderedJson element{
      {"anyOf", {{{"type", "number"}}, {{"enum", {nan_word, inf_word, minus_inf_word}}}}}};
  const OrderedJson lists{{"description", "Each tensor's elements in row-major order"},
                          {"type", "object"},
                          {"additionalProperties", {{"type", "array"}, {"items", element}}}};
  const OrderedJson text{
      {"description",
       "A safetensors file below the case's folder, or \"base64:\" and its bytes in base64"},
      {"type", "string"},
      {"pattern", "^(base64:[A-Za-z0-9+/]*={0,2}|.+\\.safetensors)$"}};
  return {{"type", "object"},
          {"required", {given_key}},
          {"properties", {{std::string(given_key), {{"anyOf", {lists, text}}}}}},
          {"additionalProperties", false}};
}

}  // namespace attnfuzz
