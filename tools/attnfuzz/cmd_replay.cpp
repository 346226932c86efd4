#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "fuzz/signature.h"
#include "oracle/case_io.h"
#include "reports/expectation.h"
#include "targets/no_device.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/relation_options.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  TargetOptions open;
  RelationOptions relations;
  std::vector<std::string> files, targets, after;
  bool json = false, as_expected = false;
};

/// The targets named by -t, or those that the case file expects a verdict for.
std::vector<std::string> targets_for(const Options& options, const CaseFile& file,
                                     const std::string& where) {
  if (!options.targets.empty()) return options.targets;
  std::vector<std::string> names, elsewhere;
  for (const auto& [name, verdict] : file.expect)
    (name.find('@') == std::string::npos ? names : elsewhere).push_back(name);
  if (names.empty() && !elsewhere.empty())
    throw InputError(where, "/expect",
                     fmt::format("expected a target without an environment among {}; name one "
                                 "with -t",
                                 fmt::join(elsewhere, ", ")));
  if (names.empty())
    throw InputError(where, "/expect", "expected targets to replay on; name some with -t");
  return names;
}

/// One case on one target: a verdict, or why there is none.
struct Judged {
  std::string path, target, version, outside, expected;
  Finding finding;

  const Verdict& verdict() const { return finding.first.verdict; }
  bool ran() const { return outside.empty(); }
  bool as_expected() const { return ran() && meets(expected, finding); }
};

void print_text(const Judged& j) {
  if (!j.ran()) {
    fmt::print("skip  {} on {}: {}\n", j.path, j.target, j.outside);
    return;
  }
  if (!j.verdict().failed()) {
    fmt::print("{:<5} {} on {}{}\n", name(j.verdict().kind), j.path, j.target,
               j.verdict().detail.empty() ? "" : ": " + j.verdict().detail);
    return;
  }
  fmt::print("fail  {} on {}\n", j.path, j.target);
  Finding finding = j.finding;
  if (classify(finding.original, j.verdict()).is_ambiguous())
    finding.signature.clear();  // a campaign tells from more cases which it is
  fmt::print("{}", finding_terminal({finding, diagnose(finding), "", "", "", ""}, use_colour()));
}

/// What the case file has to say to it.
void print_expectation(const Judged& j) {
  if (j.expected.empty() || j.as_expected()) return;
  fmt::print("  expected {}, found {}\n", j.expected, expectation_of(j.finding));
}

/// One line; verdict as in a case file's "expect".
void print_json(const Judged& j) {
  nlohmann::ordered_json json = {{"case", j.path}, {"target", j.target}, {"version", j.version}};
  if (!j.ran()) {
    json.update({{"verdict", "skip"}, {"detail", j.outside}});
  } else {
    json["verdict"] = std::string(name(j.verdict().kind));
    json["detail"] = j.verdict().detail;
    if (j.verdict().failed()) {
      json["verdict"] = "fail:" + std::string(name(j.verdict().failure));
      json["signature"] = j.finding.signature;
      for (const Cause& cause : diagnose(j.finding))
        json["causes"].push_back({{"name", cause.name}, {"words", cause.words}});
    }
    json["found"] = expectation_of(j.finding);
  }
  if (!j.expected.empty()) {
    json["expected"] = j.expected;
    json["as_expected"] = j.as_expected();
  }
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

/// Where the target is in a process of its own.
void run_first(Target& target, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    const Case c = read_case(file).c;
    if (const std::string outside = target.info().capabilities.rejection_reason(c);
        !outside.empty())
      throw InputError(file, "", "expected a case that the target claims: " + outside);
    target.run(c, make_inputs(c));
  }
}

Judged judge_on(Target& target, const CaseFile& file, const std::string& path,
                const std::string& name, const Options& options) {
  std::string outside = target.info().capabilities.rejection_reason(file.c);
  if (!outside.empty()) outside = "outside what it claims: " + outside;
  Judged judged{path, name, target.info().version, std::move(outside), "", {}};
  if (const auto found = file.expect.find(name); found != file.expect.end())
    judged.expected = found->second;
  if (!judged.ran()) return judged;
  run_first(target, options.after);
  judged.finding = make_finding(
      target, file.c, examine_with(target, file.c, options.relations.chosen(), true), {0});
  return judged;
}

Judged replayed(const CaseFile& file, const std::string& path, const std::string& name,
                const Options& options) {
  try {
    return judge_on(*options.open.open(name), file, path, name, options);
  } catch (const NoDevice& e) {
    return {path, name, "", e.why, "", {}};
  }
}

int replay(const Options& options) {
  int failed = 0, judged = 0, unexpected = 0;
  for (const std::string& path : options.files) {
    const CaseFile file = read_case(path);
    for (const std::string& target : targets_for(options, file, path)) {
      const Judged result = replayed(file, path, target, options);
      (options.json ? print_json : print_text)(result);
      if (!options.json && result.ran()) print_expectation(result);
      judged += result.ran();
      failed += result.ran() && result.verdict().failed();
      unexpected += !result.expected.empty() && !result.as_expected();
    }
  }
  if (!options.json) {
    fmt::print("{} judged, {} failed", judged, failed);
    fmt::print("{}\n", options.as_expected ? fmt::format(", {} not as expected", unexpected) : "");
  }
  return (options.as_expected ? unexpected : failed) > 0 ? findings : nothing_found;
}

}  // namespace

void add_replay(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  app.add_option("cases", options->files, "Case files (*.case.json or a finding's case.json)")
      ->required();
  app.add_option("-t,--target", options->targets,
                 "Targets to run them on (default: those that the file expects a verdict for)");
  app.add_option("--after", options->after,
                 "Cases that the target's process runs first (a finding's before-*.case.json)")
      ->expected(1)
      ->take_all();
  app.add_flag("--json", options->json, "Print one line of JSON for each case and target");
  app.add_flag(
      "--as-expected", options->as_expected,
      "Exit with 1 if a verdict differs from what the case file expects, not if a case fails");
  options->open.add(app);
  options->relations.add(app);
  app.callback([options, &exit_code] { exit_code = replay(*options); });
}

}  // namespace attnfuzz::cli
