#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fuzz/clock.h"
#include "fuzz/reach/sequence.h"
#include "fuzz/side_by_side.h"
#include "oracle/case_io.h"
#include "reports/text.h"
#include "reports/text_file.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Of a kind of difference more cases than these are counted, not shrunk: they may be other bugs,
/// but shrinking is what costs.
constexpr size_t most_shrunk_alike = 5;

struct Options {
  TargetOptions open;
  std::vector<std::string> targets, files;
  std::string time, out;
  uint64_t seed = 0, cases = 1000;
  int64_t max_tries = 2000;
  bool bitwise = false, json = false;
};

/// A difference, shrunk.
struct Different {
  Case original, shrunk;
  SideBySide found;  ///< of the shrunk case
  struct Failure {
    std::string_view side;  ///< "first" or "second": both may have the same name
    Finding finding;
  };
  std::vector<Failure> failures;  ///< of each side that fails there
  int64_t count = 1;

  /// What makes two the same: the signatures of the sides that fail; none does: the case.
  std::string key() const {
    std::string key;
    for (const auto& [side, finding] : failures)
      key += fmt::format("{} {} ", side, finding.signature);
    return key.empty() ? write_case(shrunk) : key;
  }
};

class Compare {
 public:
  explicit Compare(const Options& options)
      : options_(options),
        session_(options.out, /*quiet=*/true),
        first_(options.open.open(options.targets[0])),
        second_(options.open.open(options.targets[1])) {}

  int run() {
    if (options_.files.empty())
      campaign();
    else
      for (const std::string& file : options_.files) add(read_case(file).c);
    if (!options_.out.empty()) write();
    options_.json ? print_json() : print_text();
    if (interrupt_flag()) return was_interrupted;
    if (!differences_.empty()) return findings;
    return compared() == 0 ? own_failure : nothing_found;
  }

 private:
  void campaign() {
    const double seconds = options_.time.empty() ? 0 : parse_duration(options_.time, "--time");
    const Capabilities both =
        common_capabilities(first_->info().capabilities, second_->info().capabilities);
    Sequence sequence(both, options_.seed);
    const Clock::time_point start = Clock::now();
    for (uint64_t k = 0; !interrupt_flag(); ++k) {
      if (seconds > 0 ? seconds_since(start) >= seconds : k == options_.cases) break;
      add(sequence(k));
    }
  }

  void add(const Case& c) {
    ++cases_;
    if (!first_->info().capabilities.rejection_reason(c).empty() ||
        !second_->info().capabilities.rejection_reason(c).empty()) {
      ++counts_[static_cast<size_t>(Agreement::skipped)];
      return;
    }
    const SideBySide found = run_both(*first_, *second_, c);
    ++counts_[static_cast<size_t>(found.agreement)];
    if (found.agreement == Agreement::within_bounds)
      worst_ratio_ = std::max(worst_ratio_, found.worst_ratio);
    const bool different = found.agreement == Agreement::differ ||
                           (options_.bitwise && found.agreement == Agreement::within_bounds);
    if (different) shrink(c, found);
  }

  /// Shrinks it, and adds it to the difference that it turns out to be.
  void shrink(const Case& c, const SideBySide& found) {
    const auto alike = static_cast<size_t>(
        std::count_if(shrunk_.begin(), shrunk_.end(),
                      [&](const SideBySide& other) { return is_like(other, found); }));
    if (alike >= most_shrunk_alike) {
      ++not_shrunk_;
      return;
    }
    shrunk_.push_back(found);
    Different made{c, c, found, {}};
    made.shrunk = shrink_difference(*first_, *second_, c, found, options_.max_tries,
                                    stop_at(&interrupt_flag()))
                      .c;
    made.found = run_both(*first_, *second_, made.shrunk);
    for (const auto& [side, target] :
         {std::pair{"first", first_.get()}, {"second", second_.get()}}) {
      Examination exam = examine(*target, made.shrunk);
      if (!exam.verdict.failed()) continue;
      ReplayableOptions unshrunk;
      unshrunk.max_tries = 0;
      made.failures.push_back(
          {side, make_finding(*target, made.shrunk, std::move(exam), unshrunk)});
    }
    const auto known =
        std::find_if(differences_.begin(), differences_.end(),
                     [&](const Different& other) { return other.key() == made.key(); });
    if (known != differences_.end())
      ++known->count;
    else
      differences_.push_back(std::move(made));
  }

  int64_t count(Agreement agreement) const { return counts_[static_cast<size_t>(agreement)]; }
  int64_t compared() const { return cases_ - count(Agreement::skipped); }

  static std::string verdict_word(const Verdict& verdict) {
    return verdict.failed() ? fmt::format("fail:{}", name(verdict.failure))
                            : std::string(name(verdict.kind));
  }

  static std::string words_of(const TargetInfo& info, const std::string& opened) {
    return fmt::format("{} {}", opened, text::line(info.version));
  }

  void print_text() const {
    fmt::print("first   {}\nsecond  {}\n\n", words_of(first_->info(), options_.targets[0]),
               words_of(second_->info(), options_.targets[1]));
    fmt::print("{} cases: {} with the same bits, {} within the bounds", cases_,
               count(Agreement::same_bits), count(Agreement::within_bounds));
    if (count(Agreement::within_bounds) > 0)
      fmt::print(" (at most {:.3g} of their sum)", worst_ratio_);
    fmt::print(", {} differ, {} that one does not take\n", count(Agreement::differ),
               count(Agreement::skipped));
    for (size_t k = 0; k < differences_.size(); ++k) print_difference(k);
    if (not_shrunk_ > 0)
      fmt::print("\n{} more differ in the same kinds of ways; they were not looked into.\n",
                 not_shrunk_);
  }

  void print_difference(size_t k) const {
    const Different& each = differences_[k];
    fmt::print("\n{}. {}{}\n", k + 1, one_line(each.shrunk),
               each.count > 1 ? fmt::format(" (and {} more)", each.count - 1) : "");
    fmt::print("  differs   {}\n", text::line(each.found.detail, 300));
    fmt::print("  first     {}{}\n", verdict_word(each.found.first), detail_of(each.found.first));
    fmt::print("  second    {}{}\n", verdict_word(each.found.second), detail_of(each.found.second));
    for (const auto& [side, finding] : each.failures)
      for (const Cause& cause : diagnose(finding))
        fmt::print("  cause     {}: {}\n", side, text::line(cause.words, 400));
    if (!options_.out.empty()) fmt::print("  case      {}\n", file_of(k).string());
  }

  static std::string detail_of(const Verdict& verdict) {
    return verdict.failed() ? ": " + text::line(verdict.detail, 300) : "";
  }

  std::filesystem::path file_of(size_t k) const {
    return std::filesystem::path(options_.out) / fmt::format("difference-{}.case.json", k + 1);
  }

  /// The cases, and reports of the sides that fail.
  void write() {
    for (size_t k = 0; k < differences_.size(); ++k) {
      write_text(file_of(k), write_case(differences_[k].shrunk));
      for (const auto& [side, finding] : differences_[k].failures) session_.add(finding);
    }
    session_.write({});
  }

  Json json_of(const Different& each) const {
    Json json{{"problem", one_line(each.shrunk)},
              {"count", each.count},
              {"detail", each.found.detail},
              {"first", verdict_word(each.found.first)},
              {"second", verdict_word(each.found.second)},
              {"causes", Json::array()},
              {"case", Json::parse(write_case(each.shrunk))}};
    for (const auto& [side, finding] : each.failures)
      for (const Cause& cause : diagnose(finding))
        json["causes"].push_back({{"side", side}, {"name", cause.name}, {"words", cause.words}});
    return json;
  }

  void print_json() const {
    Json json;
    for (const auto& [key, opened, target] :
         {std::tuple{"first", 0, first_.get()}, std::tuple{"second", 1, second_.get()}})
      json[key] = {{"target", options_.targets[static_cast<size_t>(opened)]},
                   {"version", target->info().version}};
    json["cases"] = cases_;
    for (size_t k = 0; k < counts_.size(); ++k)
      json[std::string(names_of<Agreement>[k])] = counts_[k];
    json["worst_ratio_within_bounds"] = worst_ratio_;
    json["not_shrunk"] = not_shrunk_;
    json["differences"] = Json::array();
    for (const Different& each : differences_) json["differences"].push_back(json_of(each));
    fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  const Options& options_;
  Session session_;
  std::unique_ptr<Target> first_, second_;
  int64_t cases_ = 0, not_shrunk_ = 0;
  std::array<int64_t, names_of<Agreement>.size()> counts_{};
  double worst_ratio_ = 0;
  std::vector<SideBySide> shrunk_;  ///< as they were first found
  std::vector<Different> differences_;
};

}  // namespace

void add_compare(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  app.add_option("targets", options->targets,
                 "Two targets; package:name@environment is one in another environment")
      ->required()
      ->expected(2);
  app.add_option("--case", options->files, "Compare on these case files in place of new cases")
      ->expected(1)
      ->take_all();
  app.add_option("--seed", options->seed, "The same seed gives the same cases")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--cases", options->cases, "How many cases")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--time", options->time, "Run for this long instead: 60s, 5m, 2h");
  app.add_flag("--bitwise", options->bitwise,
               "Report cases whose results have other bits, though both are within their bounds");
  app.add_option("--max-tries", options->max_tries, "Runs that shrinking a difference may cost")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("-o,--out", options->out,
                 "Write the least cases and the reports into this folder");
  app.add_flag("--json", options->json, "Print the result as one line of JSON");
  options->open.add(app);
  app.callback([options, &exit_code] { exit_code = Compare(*options).run(); });
}

}  // namespace attnfuzz::cli
