#include "reports/item_json.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "fuzz/relations/relation.h"
#include "oracle/case_io.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostBytes = 65536;  ///< of an output tensor that is kept

// JSON has no NaN and no infinities: they are written as strings.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(text::number(value));
}

double to_number(const Json& json) {
  if (!json.is_string()) return json.get<double>();
  const auto& word = json.get_ref<const std::string&>();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  if (word != "inf" && word != "-inf") throw std::invalid_argument("expected a number: " + word);
  return word == "inf" ? inf : -inf;
}

template <class E>
E to_enum(const Json& json) {
  const auto value = parse_name<E>(json.get_ref<const std::string&>());
  if (!value) throw std::invalid_argument("unknown word " + json.dump());
  return *value;
}

std::string hex(const std::vector<std::byte>& bytes) {
  std::string out;
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

std::vector<std::byte> from_hex(const std::string& digits) {
  std::vector<std::byte> bytes;
  for (size_t k = 0; k + 1 < digits.size(); k += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(digits.substr(k, 2), nullptr, 16)));
  return bytes;
}

Json tensor_json(const Tensor& tensor) {
  Json json{{"dtype", name(tensor.dtype)}, {"shape", tensor.shape}};
  if (tensor.bytes.size() <= kMostBytes) json["bytes"] = hex(tensor.bytes);
  return json;
}

/// Without elements where they were not kept.
Tensor to_tensor(const Json& json) {
  Tensor tensor;
  tensor.dtype = to_enum<DType>(json.at("dtype"));
  if (!json.contains("bytes")) return tensor;
  tensor.shape = json.at("shape").get<Shape>();
  tensor.bytes = from_hex(json.at("bytes").get_ref<const std::string&>());
  const auto wanted = static_cast<size_t>(tensor.size() * info(tensor.dtype).bytes);
  if (tensor.bytes.size() != wanted) throw std::invalid_argument("wrong number of bytes");
  return tensor;
}

Json outcome_json(const Outcome& outcome, bool with_outputs) {
  Json json{{"status", name(outcome.status)}, {"text", text::clean(outcome.text)}};
  json["steps"] = Json::array();
  if (!with_outputs) return json;
  for (const StepOutput& step : outcome.steps) {
    Json each = tensor_json(step.out);
    for (const auto& [output, tensor] : step.more)
      each["more"][std::string(name(output))] = tensor_json(tensor);
    each["lengths"] = step.lengths;
    if (!step.positions.empty()) each["positions"] = step.positions;
    if (step.capacity) each["capacity"] = *step.capacity;
    json["steps"].push_back(std::move(each));
  }
  return json;
}

Outcome to_outcome(const Json& json) {
  Outcome outcome{to_enum<Status>(json.at("status")), json.at("text").get<std::string>(), {}};
  for (const Json& each : json.at("steps")) {
    StepOutput step;
    step.out = to_tensor(each);
    if (each.contains("more"))
      for (const auto& [output, tensor] : each.at("more").items())
        step.more[to_enum<Output>(Json(output))] = to_tensor(tensor);
    step.lengths = each.at("lengths").get<std::vector<int64_t>>();
    step.positions = each.value("positions", step.positions);
    if (each.contains("capacity")) step.capacity = each.at("capacity").get<int64_t>();
    outcome.steps.push_back(std::move(step));
  }
  return outcome;
}

Json verdict_json(const Verdict& v) {
  Json json{
      {"kind", name(v.kind)}, {"failure", name(v.failure)}, {"detail", text::clean(v.detail)},
      {"wrong", v.wrong},     {"checked", v.checked},       {"worst_ratio", number(v.worst_ratio)}};
  const WorstElement& w = v.worst;
  json["worst"] = {{"step", w.step},
                   {"b", w.b},
                   {"h", w.h},
                   {"i", w.i},
                   {"d", w.d},
                   {"got", number(w.got)},
                   {"want", number(w.want)},
                   {"bound", number(w.bound)}};
  if (w.output != Output::out) json["worst"]["output"] = name(w.output);
  if (!v.dedup_text.empty()) json["essence"] = v.dedup_text;
  json["fits"] = Json::array();
  for (const Fault* fit : v.fits) json["fits"].push_back(fit->name);
  if (v.relation != nullptr) json["relation"] = v.relation->name;
  return json;
}

Verdict to_verdict(const Json& json) {
  Verdict v;
  v.kind = to_enum<VerdictKind>(json.at("kind"));
  v.failure = to_enum<FailureKind>(json.at("failure"));
  v.detail = json.at("detail").get<std::string>();
  v.dedup_text = json.value("essence", v.dedup_text);
  v.wrong = json.at("wrong").get<int64_t>();
  v.checked = json.at("checked").get<int64_t>();
  v.worst_ratio = to_number(json.at("worst_ratio"));
  const Json& w = json.at("worst");
  v.worst = {w.at("step").get<int64_t>(), w.at("b").get<int64_t>(), w.at("h").get<int64_t>(),
             w.at("i").get<int64_t>(),    w.at("d").get<int64_t>(), to_number(w.at("got")),
             to_number(w.at("want")),     to_number(w.at("bound"))};
  if (w.contains("output")) v.worst.output = to_enum<Output>(w.at("output"));
  for (const Json& fit : json.at("fits"))  // one that is gone from the table is left out
    for (const Fault& each : faults())
      if (fit.get_ref<const std::string&>() == each.name) v.fits.push_back(&each);
  if (json.contains("relation")) v.relation = find_relation(json.at("relation").get<std::string>());
  if (v.failure == FailureKind::relation && v.relation == nullptr)
    throw std::invalid_argument("expected a relation that is known");
  return v;
}

Json precision_json(const Precision& p) {
  Json json{{"accumulate", name(p.accumulate)}, {"p", name(p.p)}, {"exp_ulps", p.exp_ulps}};
  if (p.scores) json["scores"] = name(*p.scores);
  json["flush_subnormals"] = p.flush_subnormals;
  if (p.truncates) json["truncates"] = true;
  if (p.factor_bits > 0) json["factor_bits"] = p.factor_bits;
  if (p.rope) json["rope"] = name(*p.rope);
  return json;
}

Precision to_precision(const Json& json) {
  Precision p;
  p.accumulate = to_enum<DType>(json.at("accumulate"));
  p.p = to_enum<DType>(json.at("p"));
  p.exp_ulps = json.at("exp_ulps").get<double>();
  if (json.contains("scores")) p.scores = to_enum<DType>(json.at("scores"));
  if (json.contains("rope")) p.rope = to_enum<DType>(json.at("rope"));
  p.flush_subnormals = json.at("flush_subnormals").get<bool>();
  p.truncates = json.value("truncates", false);
  p.factor_bits = json.value("factor_bits", 0);
  return p;
}

Json examination_json(const Examination& e, bool with_outputs) {
  return {{"signature", e.signature},
          {"verdict", verdict_json(e.verdict)},
          {"outcome", outcome_json(e.outcome, with_outputs)},
          {"precision", precision_json(e.precision)}};
}

Examination to_examination(const Json& json) {
  return {to_outcome(json.at("outcome")), to_verdict(json.at("verdict")),
          json.at("signature").get<std::string>(), to_precision(json.at("precision"))};
}

Json class_json(const FailureClass& failure) {
  Json json{{"kind", name(failure.kind)}, {"text", text::clean(failure.text)}};
  json["numbers"] = Json::array();
  for (const NumberReading& number : failure.numbers) {
    Json each{{"names", number.names}, {"ambiguity", number.ambiguity}};
    if (number.constant) each["constant"] = *number.constant;
    json["numbers"].push_back(std::move(each));
  }
  json["meanings"] = failure.meanings;
  json["features"] = failure.features;
  if (!failure.alone) json["alone"] = false;
  return json;
}

FailureClass to_class(const Json& json) {
  FailureClass failure;
  failure.kind = to_enum<FailureKind>(json.at("kind"));
  failure.text = json.at("text").get<std::string>();
  for (const Json& each : json.at("numbers")) {
    NumberReading number{each.at("names").get<std::vector<std::string>>(), std::nullopt,
                         each.at("ambiguity").get<size_t>()};
    if (each.contains("constant")) number.constant = each.at("constant").get<int64_t>();
    failure.numbers.push_back(std::move(number));
  }
  failure.meanings = json.at("meanings").get<std::vector<std::string>>();
  failure.features = json.at("features").get<std::vector<std::string>>();
  failure.alone = json.value("alone", true);
  return failure;
}

Case to_case(const Json& json, const std::string& where) {
  return parse_case(json.dump(), where).c;
}

}  // namespace

std::string item_to_json(const Report::Item& item) {
  const Finding& f = item.finding;
  Json json{{"attnfuzz_finding", item_format_version},
            {"target", f.target},
            {"version", f.version},
            {"signature", f.signature},
            {"failure", name(f.last.verdict.failure)},
            {"seed", f.seed},
            {"index", f.index},
            {"corpus", f.corpus},
            {"count", f.count},
            {"first_seen", item.first_seen},
            {"last_seen", item.last_seen},
            {"repro", item.repro},
            {"environment", item.environment}};
  json["causes"] = Json::array();
  for (const Cause& cause : item.causes)
    json["causes"].push_back({{"name", cause.name}, {"words", cause.words}});
  json["measured"] = Json::array();
  for (const measure::Statement& each : f.measured)
    json["measured"].push_back({{"about", each.about}, {"words", each.words}});
  json["trials"] = Json::array();
  for (const measure::Trial& each : f.trials)
    json["trials"].push_back({{"fault", each.fault},
                              {"first", each.first},
                              {"failing", each.failing},
                              {"explained", each.explained},
                              {"passing", each.passing},
                              {"kept", each.kept}});
  json["case"] = Json::parse(write_case(f.shrunk.c));
  json["shrink"] = {
      {"history", f.shrunk.history}, {"tried", f.shrunk.tried}, {"minimal", f.shrunk.minimal}};
  json["original"] = Json::parse(write_case(f.original));
  for (const Case& each : f.before) json["before"].push_back(Json::parse(write_case(each)));
  json["first"] = examination_json(f.first, false);
  json["last"] = examination_json(f.last, true);
  json["learned"] = class_json(f.learned);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Report::Item item_from_json(std::string_view text, const std::string& where) try {
  const Json json = Json::parse(text);
  if (json.at("attnfuzz_finding").get<int>() != item_format_version)
    throw InputError(where, "/attnfuzz_finding",
                     fmt::format("expected version {}", item_format_version));
  Report::Item item;
  Finding& f = item.finding;
  f.target = json.at("target").get<std::string>();
  f.version = json.at("version").get<std::string>();
  f.signature = json.at("signature").get<std::string>();
  f.seed = json.at("seed").get<uint64_t>();
  f.index = json.at("index").get<uint64_t>();
  f.corpus = json.at("corpus").get<std::string>();
  f.count = json.at("count").get<int64_t>();
  item.first_seen = json.at("first_seen").get<std::string>();
  item.last_seen = json.at("last_seen").get<std::string>();
  item.repro = json.at("repro").get<std::string>();
  item.environment = json.at("environment").get<std::string>();
  for (const Json& cause : json.at("causes"))
    item.causes.push_back(
        {cause.at("name").get<std::string>(), cause.at("words").get<std::string>()});
  for (const Json& each : json.value("measured", Json::array()))
    f.measured.push_back(
        {each.at("about").get<std::string>(), each.at("words").get<std::string>()});
  for (const Json& each : json.value("trials", Json::array()))
    f.trials.push_back({each.at("fault").get<std::string>(), each.at("first").get<bool>(),
                        each.at("failing").get<int64_t>(), each.at("explained").get<int64_t>(),
                        each.at("passing").get<int64_t>(), each.at("kept").get<int64_t>()});
  const Json& shrink = json.at("shrink");
  f.shrunk = {to_case(json.at("case"), where), shrink.at("history").get<std::vector<std::string>>(),
              shrink.at("tried").get<int64_t>(), shrink.at("minimal").get<bool>()};
  f.original = to_case(json.at("original"), where);
  for (const Json& each : json.value("before", Json::array()))
    f.before.push_back(to_case(each, where));
  f.first = to_examination(json.at("first"));
  f.last = to_examination(json.at("last"));
  f.learned = to_class(json.at("learned"));
  return item;
} catch (const InputError&) {
  throw;
} catch (const std::exception& error) {  // nlohmann's, and ours from to_number and to_enum
  throw InputError(
      where, "",
      fmt::format("expected a finding as attnfuzz writes it ({})", text::line(error.what())));
}

}  // namespace attnfuzz
