// The extension module attnfuzz._core: what the Python package needs of the libraries, in terms of
// case texts, NumPy arrays and callbacks. Its types are written down in attnfuzz/_core.pyi.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <ctime>

#include "fuzz/generate.h"
#include "fuzz/reach/sequence.h"
#include "oracle/build.h"
#include "oracle/case_io.h"
#include "reports/environment.h"
#include "reports/reach_text.h"
#include "reports/report.h"
#include "reports/show.h"
#include "reports/story.h"
#include "reports/triage/write.h"
#include "targets/remote.h"
#include "tools/python_package/python_target.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace attnfuzz::python {
namespace {

Case case_of(const std::string& text) {
  return parse_case(text, "case").c;
}

/// Choices that Python makes.
class CallbackDraw final : public Draw {
 public:
  explicit CallbackDraw(std::function<uint64_t()> choice) : choice_(std::move(choice)) {}
  uint64_t bits() override { return choice_(); }

 private:
  std::function<uint64_t()> choice_;
};

/// A function that runs in this process: what the Python side says of it.
std::unique_ptr<Target> target_of(const std::string& name, const std::string& version,
                                  const std::string& capabilities, nb::callable run,
                                  nb::object declined) {
  TargetInfo info{name, version, "", parse_capabilities(capabilities, name)};
  return std::make_unique<PythonTarget>(std::move(info), std::move(run), std::move(declined));
}

/// Lets Python's signal handlers run: Ctrl-C becomes an exception here.
void check_signals() {
  const nb::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

/// A target in a worker process, which Ctrl-C stops waiting for.
std::unique_ptr<Target> remote_target(const std::string& name, std::vector<std::string> argv,
                                      const std::map<std::string, std::string>& variables,
                                      double case_seconds, uint64_t memory_bytes) {
  WorkerCommand command{std::move(argv), {variables.begin(), variables.end()}};
  WorkerLimits limits;
  limits.case_seconds = case_seconds;
  limits.memory_bytes = memory_bytes;
  limits.waiting = check_signals;
  const nb::gil_scoped_release released;
  return open_remote(name, command, limits);
}

Report::Item item_of(Finding finding, const std::string& environment) {
  const std::string now = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
  std::vector<Cause> causes = diagnose(finding);
  return {std::move(finding), std::move(causes), now, now, "", environment};
}

/// Runs a campaign and keeps its report.
class Campaign {
 public:
  explicit Campaign(std::unique_ptr<Target> target) : target_(std::move(target)) {
    report_.version = build::version();
    report_.environment = environment_text();
  }

  const std::string& environment() const { return report_.environment; }
  void add_environment(const std::string& more) {
    report_.environment = environment_text() + ", " + more;
  }
  const TargetInfo& info() const { return target_->info(); }

  using OnFinding = std::function<void(const Report::Item&)>;
  using OnProgress = std::function<void(const CampaignStats&)>;

  void run(uint64_t seed, uint64_t cases, double seconds, int64_t max_shrink_tries,
           uint64_t stop_after, const OnFinding& on_finding, const OnProgress& on_progress) {
    CampaignOptions options;
    options.seed = seed;
    options.cases = cases;
    options.seconds = seconds;
    options.max_shrink_tries = max_shrink_tries;
    options.stop_after = stop_after;
    CampaignEvents events;
    CampaignStats stats;
    events.progress = [&](const CampaignStats& now) {
      stats = now;
      const nb::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
      if (on_progress) on_progress(now);
    };
    events.finding = [&](const Finding& finding) {
      const nb::gil_scoped_acquire gil;
      add(finding, on_finding);
    };
    report_.options = options;
    try {
      const nb::gil_scoped_release released;  // other threads may print and draw meanwhile
      stats = run_campaign(*target_, options, events);
    } catch (...) {  // Ctrl-C: what was found until then is kept
      stats.interrupted = true;
      finish(std::move(stats));
      throw;
    }
    Sequence sequence(target_->info().capabilities, seed);
    add_missed(sequence, seconds > 0 ? stats.cases : cases, stats.reach);
    finish(std::move(stats));
  }

  /// Judges one case; the finding if it fails.
  std::optional<Report::Item> replay(const std::string& text, int64_t max_shrink_tries) {
    const Case c = case_of(text);
    CampaignStats stats;
    Judged judged{c, examine(*target_, c)};
    stats.count(c, judged.examination.verdict);
    const bool failed = judged.examination.verdict.failed();
    std::optional<Report::Item> item;
    if (failed) {
      Finding finding = finding_of(target_->info(), 0, 0, std::move(judged));
      finding.corpus = "case.json";
      if (max_shrink_tries > 0) shrink_finding(*target_, finding, max_shrink_tries);
      item = add(finding, nullptr);
    }
    report_.targets.emplace_back(target_->info().name, std::move(stats));
    return item;
  }

  /// Runs and judges one case, and keeps nothing: (pass, skip or the failure's kind; words).
  std::pair<std::string, std::string> examine_case(const std::string& text) {
    const Case c = case_of(text);
    const nb::gil_scoped_release released;
    const Examination exam = examine(*target_, c);
    const Verdict& verdict = exam.verdict;
    const bool raised = exam.outcome.status != Status::ok;
    return {std::string(verdict.failed() ? name(verdict.failure) : name(verdict.kind)),
            raised ? exam.outcome.text : verdict.detail};
  }

  /// Empty if the case is inside the target's capabilities, else why not.
  std::string rejection_reason(const std::string& text) const {
    return target_->info().capabilities.rejection_reason(case_of(text));
  }
  const Report& report() const { return report_; }

 private:
  Report::Item add(const Finding& finding, const OnFinding& on_finding) {
    Report::Item item = item_of(finding, report_.environment);
    report_.items.push_back(item);
    if (on_finding) on_finding(item);
    return item;
  }

  void finish(CampaignStats stats) {
    for (Report::Item& item : report_.items)
      if (const auto count = stats.signatures.find(item.finding.signature);
          count != stats.signatures.end())
        item.finding.count = static_cast<int64_t>(count->second);
    report_.targets.emplace_back(target_->info().name, std::move(stats));
  }

  std::unique_ptr<Target> target_;
  Report report_;
};

std::vector<std::pair<std::string, std::string>> causes_of(const Report::Item& item) {
  std::vector<std::pair<std::string, std::string>> causes;
  for (const Cause& cause : item.causes) causes.emplace_back(cause.name, cause.words);
  return causes;
}

/// The oracle's answer for each step: (out, bound), float64 arrays; None for a step without tokens.
nb::list answer_of(const std::string& text, const std::string& capabilities) {
  const Case c = case_of(text);
  const Capabilities claims = parse_capabilities(capabilities, "capabilities");
  nb::list steps;
  for (const StepAnswer& step :
       answer(c, make_inputs(c), claims.precision_of(c.problem.dtype), Sample{}).steps) {
    if (step.shape.empty()) {
      steps.append(nb::none());
      continue;
    }
    const auto array = [&](const std::vector<double>& values) {
      return to_numpy(Tensor::from_doubles(DType::f64, step.shape, values));
    };
    steps.append(nb::make_tuple(array(step.out), array(step.bound)));
  }
  return steps;
}

/// The words for what is wrong with the outputs of a case's steps, empty if they are right.
std::string judge_outputs(const std::string& text, const std::string& capabilities,
                          const nb::iterable& outputs) {
  const Case c = case_of(text);
  const Capabilities claims = parse_capabilities(capabilities, "capabilities");
  Outcome outcome;
  for (const nb::handle step : outputs) outcome.steps.push_back(to_step(step));
  const Verdict verdict = judge(c, make_inputs(c), claims.precision_of(c.problem.dtype), outcome);
  return verdict.failed() ? fmt::format("{}: {}", name(verdict.failure), verdict.detail) : "";
}

void bind_results(nb::module_& m) {
  nb::class_<CampaignStats>(m, "Stats")
      .def_ro("cases", &CampaignStats::cases)
      .def_ro("passed", &CampaignStats::passed)
      .def_ro("failed", &CampaignStats::failed)
      .def_ro("skipped", &CampaignStats::skipped)
      .def_ro("seconds", &CampaignStats::seconds)
      .def_ro("worst_ratio", &CampaignStats::worst_ratio)
      .def_ro("features", &CampaignStats::features)
      .def_ro("interrupted", &CampaignStats::interrupted)
      .def_prop_ro("reach",
                   [](const CampaignStats& stats) {
                     return std::map<std::string, std::string>(stats.reach);
                   })
      .def_prop_ro("reach_lines", [](const CampaignStats& stats) {
        constexpr size_t most = 3;
        std::vector<std::string> lines{reach_headline(stats.reach)};
        for (const std::string& goals : missed_goals(stats.reach, most))
          lines.push_back("not reached: " + goals);
        return stats.reach.empty() ? std::vector<std::string>{} : lines;
      });
  using Item = Report::Item;
  nb::class_<Item>(m, "Item")
      .def_prop_ro("signature", [](const Item& i) { return i.finding.signature; })
      .def_prop_ro("kind",
                   [](const Item& i) { return std::string(name(i.finding.last.verdict.failure)); })
      .def_prop_ro("title", [](const Item& i) { return tell(i).title; })
      .def_prop_ro("detail", [](const Item& i) { return i.finding.last.verdict.detail; })
      .def_prop_ro("error", [](const Item& i) { return i.finding.last.outcome.text; })
      .def_prop_ro("case", [](const Item& i) { return write_case(i.finding.shrunk.c); })
      .def_prop_ro("original", [](const Item& i) { return write_case(i.finding.original); })
      .def_prop_ro("history", [](const Item& i) { return i.finding.shrunk.history; })
      .def_prop_ro("seed", [](const Item& i) { return i.finding.seed; })
      .def_prop_ro("index", [](const Item& i) { return i.finding.index; })
      .def_prop_ro("count", [](const Item& i) { return i.finding.count; })
      .def_prop_ro("causes", causes_of)
      .def("terminal", finding_terminal, "colour"_a)
      .def("markdown", finding_markdown);
  nb::class_<Campaign>(m, "Campaign")
      .def(
          "__init__",
          [](Campaign* self, const std::string& name, const std::string& version,
             const std::string& capabilities, nb::callable run, nb::object declined) {
            new (self) Campaign(
                target_of(name, version, capabilities, std::move(run), std::move(declined)));
          },
          "name"_a, "version"_a, "capabilities"_a, "run"_a, "declined"_a)
      .def_prop_rw("environment", &Campaign::environment, &Campaign::add_environment)
      .def_prop_ro("about", [](const Campaign& self) { return self.info().about; })
      .def_prop_ro(
          "capabilities",
          [](const Campaign& self) { return write_capabilities(self.info().capabilities); })
      .def("run", &Campaign::run, "seed"_a, "cases"_a, "seconds"_a, "max_shrink_tries"_a,
           "stop_after"_a, "on_finding"_a.none(), "on_progress"_a.none())
      .def("replay", &Campaign::replay, "case"_a, "max_shrink_tries"_a)
      .def("examine", &Campaign::examine_case, "case"_a)
      .def("rejection_reason", &Campaign::rejection_reason, "case"_a)
      .def_prop_ro("items", [](const Campaign& self) { return self.report().items; })
      .def_prop_ro("stats",
                   [](const Campaign& self) {
                     CampaignStats total;
                     for (const auto& [name, stats] : self.report().targets) total += stats;
                     return total;
                   })
      .def(
          "write",
          [](const Campaign& self, const std::string& dir,
             const std::vector<std::string>& formats) {
            write_report(self.report(), dir, formats);
          },
          "dir"_a, "formats"_a);
}

void bind_cases(nb::module_& m) {
  m.def(
      "isolated_campaign",
      [](const std::string& name, std::vector<std::string> argv,
         const std::map<std::string, std::string>& variables, double case_seconds,
         uint64_t memory_bytes) {
        return std::make_unique<Campaign>(
            remote_target(name, std::move(argv), variables, case_seconds, memory_bytes));
      },
      "name"_a, "argv"_a, "variables"_a, "case_seconds"_a, "memory_bytes"_a);
  m.def("home", attnfuzz_home);
  m.def("version", build::version);
  m.def("environment", [] { return environment_text(); });
  m.def("feature_words", feature_words);
  m.def("size_names",
        [] { return std::vector<std::string>(size_names().begin(), size_names().end()); });
  m.def(
      "capabilities",
      [](const std::string& json, const std::string& where) {
        return write_capabilities(parse_capabilities(json, where));
      },
      "json"_a, "where"_a);
  m.def(
      "generate",
      [](const std::string& capabilities, uint64_t seed, uint64_t index) {
        const Capabilities claims = parse_capabilities(capabilities, "capabilities");
        return write_case(generate(claims, *seeded_draw(seed, index)));
      },
      "capabilities"_a, "seed"_a, "index"_a);
  m.def(
      "generate_from",
      [](const std::string& capabilities, std::function<uint64_t()> choice) {
        CallbackDraw draw(std::move(choice));
        return write_case(generate(parse_capabilities(capabilities, "capabilities"), draw));
      },
      "capabilities"_a, "choice"_a);
  m.def(
      "canonical",
      [](const std::string& text, const std::string& where) {
        return write_case(parse_case(text, where).c);
      },
      "case"_a, "where"_a = "case");
  m.def(
      "rejection_reason",
      [](const std::string& capabilities, const std::string& text) {
        return parse_capabilities(capabilities, "capabilities").rejection_reason(case_of(text));
      },
      "capabilities"_a, "case"_a);
  m.def(
      "one_line", [](const std::string& text) { return one_line(case_of(text)); }, "case"_a);
  m.def(
      "features", [](const std::string& text) { return features(case_of(text)); }, "case"_a);
  m.def(
      "describe", [](const std::string& text) { return describe(case_of(text)); }, "case"_a);
  m.def(
      "draw_mask",
      [](const std::string& text, int64_t b, int64_t h) {
        return draw_mask(case_of(text), b, h, true);
      },
      "case"_a, "b"_a, "h"_a);
  m.def(
      "inputs", [](const std::string& text) { return to_numpy(make_inputs(case_of(text))); },
      "case"_a);
  m.def("answer", answer_of, "case"_a, "capabilities"_a);
  m.def("judge", judge_outputs, "case"_a, "capabilities"_a, "outputs"_a);
  m.def(
      "read_error",
      [](const std::string& text, const std::string& shapes, const std::string& layout) {
        const triage::Reading reading =
            triage::read_error(text, triage::parse_shapes(shapes, layout));
        return std::pair{triage::reading_text(reading), triage::triage_json(reading, {}, {})};
      },
      "text"_a, "shapes"_a, "layout"_a);
}

}  // namespace
}  // namespace attnfuzz::python

NB_MODULE(_core, m) {
  nb::set_leak_warnings(false);  // what lives at the interpreter's end is no fault
  [[maybe_unused]] const nb::exception<attnfuzz::InputError> input_error(m, "InputError",
                                                                         PyExc_ValueError);
  attnfuzz::python::bind_results(m);
  attnfuzz::python::bind_cases(m);
}
