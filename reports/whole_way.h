#pragma once
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "fuzz/any_outcome.h"
#include "fuzz/campaign.h"
#include "fuzz/known.h"
#include "fuzz/replayable.h"
#include "fuzz/wire.h"
#include "reports/item_json.h"
#include "reports/repro/repro.h"
#include "reports/store.h"
#include "reports/summary.h"
#include "reports/temporary_folder.h"
#include "reports/text.h"
#include "reports/triage/triage.h"
#include "reports/writers/writers.h"

/// Whatever a target answers, from its outcome to every report of it; for the property test and
/// the libFuzzer harness.
namespace attnfuzz::testing {

/// Thrown where something came out that a reader could not read.
class WayError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class WholeWay {
 public:
  struct Tally {
    uint64_t cases = 0, passed = 0, skipped = 0;
    uint64_t none = 0;  ///< no case was found inside the claims
    std::map<FailureKind, uint64_t> failed;
  };
  const Tally& tally() const { return tally_; }

  /// A random case of random claims, and a target that answers it in some wrong way.
  void go(Draw& draw) {
    CorruptedTarget target(any_name(draw), any_text(draw).substr(0, 40), any_claims(draw), draw);
    ++tally_.cases;
    const std::optional<Case> drawn = any_case(target.info().capabilities, draw);
    if (!drawn) return;
    const Case& c = *drawn;
    const bool related = draw.chance(10), twice = draw.chance(25);
    Examination examination = examine(target, c, twice);
    if (related && examination.verdict.kind == VerdictKind::pass) {
      const Relation& relation = draw.pick(relations());
      examination = examine_relation(target, c, relation);
    }
    read_text(examination.outcome.text);
    const Verdict& verdict = examination.verdict;
    tally_.passed += verdict.kind == VerdictKind::pass;
    tally_.skipped += verdict.kind == VerdictKind::skip;
    if (!verdict.failed()) return;
    ++tally_.failed[verdict.failure];
    expect(!examination.signature.empty(), "a failure without a signature");
    Finding finding = finding_of(target.info(), draw.bits(), tally_.cases, {c, examination});
    shrink(target, finding, draw);
    report(finding);
  }

 private:
  static void expect(bool holds, std::string_view otherwise) {
    if (!holds) throw WayError(std::string(otherwise));
  }

  std::optional<Case> any_case(const Capabilities& claims, Draw& draw) {
    try {
      return generate(claims, draw);
    } catch (const InputError&) {
      ++tally_.none;
      return {};
    }
  }

  /// Names of each family that has repros. Those are checked where they come in.
  static std::string any_name(Draw& draw) {
    static constexpr std::string_view names[] = {
        "torch:sdpa-math",           "onnxruntime:Attention",
        "transformers:eager",        "x-transformers:attend",
        "jax:dot_product_attention", "keras:MultiHeadAttention",
        "python:module:function",    "python:module",
        "./libmine.so:tiled",        "specimen:sample",
        "/no/such/plug-in.so",       "cpu:naive"};
    return std::string(draw.pick(std::span<const std::string_view>(names)));
  }

  static void read_text(const std::string& text) {
    const triage::Reading reading = triage::read_error(text);
    reading.named_core();
    triage::text_template(text);
  }

  /// Of wrong values most are left as they were found, neither shrunk nor measured: each run looks
  /// for what they mean, which costs as much as hundreds of other runs.
  static bool is_followed(const Verdict& verdict, Draw& draw) {
    const bool looked_for = verdict.failure == FailureKind::mismatch ||
                            verdict.failure == FailureKind::nan ||
                            verdict.failure == FailureKind::ignored;
    return draw.chance(looked_for ? 8 : 80);
  }

  void shrink(CorruptedTarget& target, Finding& finding, Draw& draw) {
    constexpr int64_t few_runs = 12;
    const std::vector<Case> earlier(draw.chance(30) ? 2 : 0, finding.original);
    const int64_t most = target.runs() + few_runs;
    const bool followed = is_followed(finding.first.verdict, draw);
    constexpr double seconds = 1.5;  // for each of three ways to measure
    shrink_replayable(target, finding,
                      {followed ? few_runs : 0,
                       [&] { return target.runs() >= most; },
                       [&](uint64_t) { return earlier; },
                       {},
                       nullptr,
                       followed ? seconds : 0});
    KnownFailures known;
    CampaignStats stats;
    expect(known.add(finding, stats), "an unknown failure is taken for a known one");
    stats.count(finding.shrunk.c, finding.last.verdict);
    wire::unpack<wire::Failure>(
        wire::pack(wire::Failure{1,
                                 0,
                                 finding.signature,
                                 classify(finding.original, finding.first.verdict),
                                 finding.first.verdict,
                                 {finding}}));
    finding = wire::unpack<wire::Shrinking>(wire::pack(wire::Shrinking{false, finding})).finding;
  }

  void report(const Finding& finding) {
    Report::Item item{
        finding, diagnose(finding), "2025-01-02T03:04:05Z", "2025-01-03T00:00:00Z", "repro.sh",
        "Linux"};
    const std::string json = item_to_json(item);
    expect(item_to_json(item_from_json(json, "written")) == json,
           "a stored finding reads back as another");
    constexpr uint64_t read_back_every = 8;  // writing takes most of the time
    write_all(tally_.cases % read_back_every == 0 ? item_from_json(json, "written") : item);
    keep(item);
    write_repros(finding);
  }

  static void write_all(const Report::Item& item) {
    Report report;
    report.version = "0.1.0";
    report.environment = "Linux";
    report.targets = {{item.finding.target, CampaignStats{}}};
    report.items = {item};
    for (const Writer& writer : writers()) {
      const std::string text =
          writer.write != nullptr ? writer.write(report) : writer.write_item(item);
      if (writer.file.ends_with(".json") || writer.file.ends_with(".sarif"))
        expect(nlohmann::json::accept(text), fmt::format("{} is no JSON", writer.file));
      else
        expect_text(text, writer.file);
    }
    expect_text(finding_markdown(item), "report.md");
    expect_text(finding_terminal(item, false), "the terminal");
  }

  /// Not empty, valid UTF-8, and without control characters.
  static void expect_text(const std::string& text, std::string_view what) {
    expect(!text.empty(), fmt::format("{} is empty", what));
    const std::string clean = text::clean(text, text.size() + 64);
    expect(clean == text, fmt::format("{} holds bytes that are no text", what));
  }

  void keep(Report::Item& item) {
    constexpr uint64_t renewed_every = 200;  // so that it stays small
    if (!store_ || tally_.cases % renewed_every == 0)
      store_.emplace((folder_.path() / fmt::format("{}.sqlite", tally_.cases)).string());
    store_->add(item);
    if (tally_.cases % 16 != 0) return;
    expect(!store_->items().empty(), "the store is empty");
    write_finding(item, folder_.path() / "finding");
  }

  void write_repros(const Finding& finding) {
    static constexpr Repro (*makers[])(const Case&, const TargetInfo&) = {
        jax_repro,         keras_repro,    transformers_repro, x_transformers_repro, torch_repro,
        onnxruntime_repro, function_repro, plugin_repro,       replay_repro};
    TargetInfo target;
    target.name = finding.target;
    target.version = finding.version;
    const Repro own = make_repro(finding);
    if (!own.text.empty()) expect_text(own.text, own.file_name);
    const auto maker = makers[tally_.cases % std::size(makers)];
    const Repro other = maker(finding.shrunk.c, target);
    if (!other.text.empty()) expect_text(other.text, other.file_name);
  }

  TemporaryFolder folder_;
  std::optional<Store> store_;
  Tally tally_;
};

}  // namespace attnfuzz::testing
