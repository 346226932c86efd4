#include "reports/triage/write.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fuzz/signature.h"
#include "oracle/case_io.h"
#include "reports/text.h"

namespace attnfuzz::triage {
namespace {

using Json = nlohmann::ordered_json;

std::string how(const Reading& reading, const NumberAxis& number) {
  if (number.axis.empty()) return "not told";
  if (number.why == "its place" && !reading.operation.empty())
    return fmt::format("by its place {} {}{}",
                       reading.assumed ? "if the operation is on" : "in the operation on",
                       reading.operation, reading.assumed ? " (assumed: the text shows none)" : "");
  return "by " + number.why;
}

Json number_json(const NumberAxis& number) {
  return {{"capture", number.capture},
          {"value", number.value},
          {"axis", number.axis},
          {"of", number.of},
          {"why", number.why}};
}

Json search_json(const Search& search) {
  Json json{{"target", search.target},
            {"version", search.version},
            {"proposals", search.proposals},
            {"generated", search.generated},
            {"other_failures", search.other_failures},
            {"found", search.finding.has_value()}};
  if (!search.finding) return json;
  const Finding& f = *search.finding;
  json["same_axes"] = search.same_axes;
  json["signature"] = f.signature;
  json["case"] = Json::parse(write_case(f.shrunk.c));
  json["text"] = annotate(text::clean(f.last.outcome.text), f.shrunk.c, &f.learned);
  if (search.same_numbers)
    json["case_with_same_numbers"] = Json::parse(write_case(*search.same_numbers));
  return json;
}

}  // namespace

std::string reading_text(const Reading& reading) {
  std::string out = fmt::format("error      {}{}{}\n", text::line(reading.traceback.error),
                                reading.traceback.error.empty() ? "" : ": ",
                                text::line(reading.named_core(), 1000));
  out += fmt::format("package    {}\n",
                     reading.traceback.package.empty() ? "not told" : reading.traceback.package);
  std::string_view head = "numbers";
  for (const NumberAxis& number : reading.numbers) {
    out += fmt::format("{:<10} {:<8} {:<24} {}\n", head, number.value,
                       number.axis.empty() ? "?" : number.words(), how(reading, number));
    head = "";
  }
  if (reading.numbers.empty())
    out += fmt::format("numbers    {}\n", reading.pattern.empty()
                                              ? "none told: attnfuzz does not know this text"
                                              : "the text has none that is an axis");
  for (const std::string& note : reading.notes) out += fmt::format("note       {}\n", note);
  if (reading.cause)
    out += fmt::format("cause      {} ({})\n", text::line(reading.cause->words, 2000),
                       reading.cause->name);
  return out;
}

std::string search_text(const Search& search) {
  std::string out =
      fmt::format("ran        {} {}: {} proposed and {} generated cases", text::line(search.target),
                  text::line(search.version), search.proposals, search.generated);
  if (!search.finding) {
    out += ", none gave this text";
    if (search.other_failures > 0)
      out += fmt::format(" ({} failed in another way)", search.other_failures);
    return out + "\n";
  }
  const Finding& f = *search.finding;
  out += search.why.empty() ? ", a generated one gave this text"
                            : fmt::format(", one ({}) gave this text", search.why);
  out += search.same_axes ? "\n" : ", but with numbers of other axes\n";
  out += fmt::format(
      "smallest   {}\nits text   {}\n", one_line(f.shrunk.c),
      text::line(annotate(text::clean(f.last.outcome.text), f.shrunk.c, &f.learned), 1000));
  if (search.same_numbers)
    out += fmt::format("the same   {} gives the text with your numbers\n",
                       one_line(*search.same_numbers));
  return out;
}

std::string triage_json(const Reading& reading, const std::vector<Proposal>& proposals,
                        const std::vector<Search>& searches) {
  Json json{{"error", reading.traceback.error},    {"message", reading.core},
            {"named", reading.named_core()},       {"package", reading.traceback.package},
            {"pattern", reading.pattern},          {"operation", reading.operation},
            {"operation_assumed", reading.assumed}};
  json["numbers"] = Json::array();
  for (const NumberAxis& number : reading.numbers) json["numbers"].push_back(number_json(number));
  json["notes"] = reading.notes;
  if (reading.cause)
    json["cause"] = {{"name", reading.cause->name}, {"words", reading.cause->words}};
  json["proposals"] = Json::array();
  for (const Proposal& proposal : proposals)
    json["proposals"].push_back(
        {{"why", proposal.why}, {"case", Json::parse(write_case(proposal.c))}});
  json["searches"] = Json::array();
  for (const Search& each : searches) json["searches"].push_back(search_json(each));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attnfuzz::triage
