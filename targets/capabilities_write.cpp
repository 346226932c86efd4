#include <nlohmann/json.hpp>

#include "targets/capabilities.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::ordered_json;

Json ranges(const std::map<std::string, SizeRange>& from) {
  Json out = Json::object();
  for (const auto& [key, range] : from) {
    out[key] = {range.min, range.max};
    if (range.multiple_of != 1) out[key].push_back(range.multiple_of);
  }
  return out;
}

Json precisions(const std::map<DType, Precision>& from) {
  Json out = Json::object();
  for (const auto& [dtype, precision] : from) {
    Json& entry = out[std::string(name(dtype))];
    entry["accumulate"] = name(precision.accumulate);
    entry["p"] = name(precision.p);
    if (precision.scores) entry["scores"] = name(*precision.scores);
    entry["exp_ulps"] = precision.exp_ulps;
    entry["flush_subnormals"] = precision.flush_subnormals;
    if (precision.factor_bits > 0) entry["factor_bits"] = precision.factor_bits;
    if (precision.truncates) entry["truncates"] = true;
    if (precision.rope) entry["rope"] = name(*precision.rope);
  }
  return out;
}

}  // namespace

std::string write_capabilities(const Capabilities& capabilities) {
  Json out;
  out["sizes"] = ranges(capabilities.sizes);
  out["equal"] = capabilities.equal;
  out["features"] = capabilities.features;
  out["excludes"] = capabilities.excludes;
  out["requires"] = capabilities.required;
  out["precision"] = precisions(capabilities.precision);
  out["max_rules"] = capabilities.max_rules;
  out["tiles"] = capabilities.tiles;
  if (!capabilities.compiled_for.empty()) out["compiled_for"] = capabilities.compiled_for;
  out["params"] = ranges(capabilities.params);
  out["properties"] = Json::array();
  for (const Property property : capabilities.properties)
    out["properties"].push_back(name(property));
  return out.dump();
}

}  // namespace attnfuzz
