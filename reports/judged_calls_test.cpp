#include "reports/judged_calls.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "oracle/given_io.h"
#include "oracle/safetensors.h"
#include "reports/temporary_folder.h"
#include "reports/text_file.h"

namespace attnfuzz {
namespace {

/// A folder with a recording of calls that cpu:naive answered.
class Recorded : public ::testing::Test {
 protected:
  Recorded() { make_folder(folder() / "calls"); }
  std::filesystem::path folder() const { return folder_.path(); }

  static Case example() {
    Case c;
    c.problem.num_heads = 2;
    c.problem.num_kv_heads = 1;
    c.problem.q_len = c.problem.kv_len = 3;
    c.problem.head_dim = c.problem.head_dim_v = 4;
    c.problem.mask.rules = {{find_rule("causal"), {}}};
    c.data.seed = 5;
    return c;
  }

  /// Writes a call's files; `added` to its first element.
  void write_call(const std::string& name, float added = 0, Shape shape = {1, 2, 3, 4}) {
    const Case c = example();
    nlohmann::json json = nlohmann::json::parse(write_case(c));
    json["data"] = {{"given", name + ".safetensors"}};
    write_text(folder() / "calls" / (name + ".case.json"), json.dump());
    Case given = c;
    given.data = given_data(c, given_tensors(c), "", "");
    write_text(folder() / "calls" / (name + ".safetensors"), given_safetensors(given));
    Tensor out = open_target("cpu:naive")->run(c, make_inputs(c)).steps[0].out;
    out.as<float>()[0] += added;
    out.shape = std::move(shape);
    write_text(folder() / "calls" / (name + ".outputs.safetensors"),
               write_safetensors({{"out", false, out}}));
  }

  static nlohmann::json entry(const std::string& name, int layer, int step) {
    return {{"case", "calls/" + name + ".case.json"},
            {"outputs", "calls/" + name + ".outputs.safetensors"},
            {"function", "torch.nn.functional.scaled_dot_product_attention"},
            {"module", fmt::format("layers.{}", layer)},
            {"where", "serve.py:41"},
            {"layer", layer},
            {"step", step}};
  }

  void write_index(const nlohmann::json& calls, const nlohmann::json& more = {}) {
    nlohmann::json json{{"attnfuzz_recording", 1}, {"packages", {{"torch", "2.9.0"}}}};
    json["calls"] = calls;
    if (more.is_object()) json.update(more);
    write_text(folder() / "recording.json", json.dump());
  }

  std::string complaint() const {
    try {
      const Recording recording = read_recording(folder());
      for (const RecordedCall& call : recording.calls) {
        const Case c = call.asked();
        recorded_precision(call, c.problem.dtype);
        call.outcome(c);
      }
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  }

  static JudgedCall judged(const Recording& recording, const RecordedCall& call) {
    const Case c = call.asked();
    RecordedTarget target(recording, call, c);
    const Examination exam = examine(target, c);
    return {call, one_line(c), {exam.verdict, exam.signature, {}, {}}, {}, {}};
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(Recorded, CallsAreJudgedByLayerAndStep) {
  write_call("a");
  write_call("b", 0.25F);
  write_call("c", 0, {2, 3, 4});
  write_index({entry("a", 0, 0), entry("b", 1, 0), entry("a", 0, 1), entry("c", 1, 1)},
              {{"not_kept", {{{"why", "a score_mod"}, {"count", 3}}}}});
  const Recording recording = read_recording(folder());
  std::vector<JudgedCall> calls;
  for (const RecordedCall& call : recording.calls) calls.push_back(judged(recording, call));
  EXPECT_FALSE(calls[0].wrong()) << calls[0].asked.verdict.detail;
  EXPECT_TRUE(calls[1].wrong());
  EXPECT_FALSE(calls[2].wrong());
  EXPECT_EQ(calls[3].asked.verdict.failure, FailureKind::shape);

  const std::string table = calls_table(calls);
  EXPECT_NE(table.find("0      layers.0  2      0"), std::string::npos) << table;
  EXPECT_NE(table.find("1      layers.1  2      2"), std::string::npos) << table;
  EXPECT_NE(table.find("step  calls  wrong"), std::string::npos) << table;
  const std::string first = first_wrong_text(calls);
  EXPECT_NE(first.find("b.case.json"), std::string::npos) << first;
  EXPECT_NE(first.find("layer 1, layers.1, step 0"), std::string::npos) << first;
  EXPECT_NE(first.find("called at serve.py:41"), std::string::npos) << first;
  EXPECT_NE(recording_text(recording).find("not kept: 3 calls, a score_mod"), std::string::npos);

  const nlohmann::ordered_json json = calls_json(recording, calls);
  EXPECT_EQ(json["wrong"], 2);
  EXPECT_EQ(json["calls"][1]["asked"]["verdict"], "fail:mismatch");
  EXPECT_EQ(json["calls"][0]["layer"], 0);
  EXPECT_EQ(calls_table({}), "");
}

TEST_F(Recorded, ACallThatRaisedIsAnError) {
  write_call("a");
  nlohmann::json call = entry("a", 0, 0);
  call.erase("outputs");
  call["error"] = "RuntimeError: no";
  write_index(nlohmann::json::array({call}));
  const Recording recording = read_recording(folder());
  const JudgedCall each = judged(recording, recording.calls[0]);
  EXPECT_EQ(each.asked.verdict.failure, FailureKind::error);
  EXPECT_EQ(each.asked.verdict.detail, "RuntimeError: no");
}

TEST_F(Recorded, ACallMaySayHowItComputes) {
  write_call("a");
  nlohmann::json call = entry("a", 0, 0);
  write_index(nlohmann::json::array({call}));
  EXPECT_EQ(recorded_precision(read_recording(folder()).calls[0], DType::f16),
            default_recorded_precision(DType::f16));
  call["precision"] = {{"exp_ulps", 7}, {"scores", "f16"}};
  write_index(nlohmann::json::array({call}));
  const Precision said = recorded_precision(read_recording(folder()).calls[0], DType::f32);
  EXPECT_EQ(said.exp_ulps, 7);
  EXPECT_EQ(said.scores, DType::f16);
  EXPECT_EQ(said.accumulate, DType::f32);
}

TEST_F(Recorded, ARecordingAnswersItsOwnCaseAlone) {
  write_call("a");
  write_index(nlohmann::json::array({entry("a", 0, 0)}));
  const Recording recording = read_recording(folder());
  Case c = recording.calls[0].asked();
  RecordedTarget target(recording, recording.calls[0], c);
  EXPECT_EQ(target.info().version, "2.9.0");
  EXPECT_EQ(target.run(c, make_inputs(c)).status, Status::ok);
  c.problem.kv_len = 2;
  EXPECT_EQ(target.run(c, make_inputs(c)).status, Status::declined);
}

TEST_F(Recorded, NamesWhatIsWrongWithARecording) {
  EXPECT_NE(complaint().find("a folder with a readable recording.json"), std::string::npos);
  write_call("a");
  const auto with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json call = entry("a", 0, 0);
    call[key] = value;
    if (value.is_null()) call.erase(key);
    write_index(nlohmann::json::array({call}));
    return complaint();
  };
  const struct {
    const char* key;
    nlohmann::json value;
    const char* words;
  } wrong[] = {
      {"case", nullptr, "/calls/0: expected the key \"case\""},
      {"case", "/etc/passwd", "/calls/0/case: expected the name of a file below the folder"},
      {"case", "calls/../../x.json", "/calls/0/case: expected the name of a file"},
      {"case", "calls/gone.case.json", "gone.case.json: expected a readable file"},
      {"outputs", nullptr, "/calls/0: expected either \"outputs\" or the \"error\""},
      {"outputs", "calls/gone.safetensors", "gone.safetensors: expected a readable safetensors"},
      {"outputs", "calls/a.safetensors",
       "/q: expected only the outputs that the case asks for: out"},
      {"layer", -1, "/calls/0/layer: expected an integer of at least 0"},
      {"module", 7, "/calls/0/module: expected a text"},
      {"modul", "x", "/calls/0/modul: unknown key here"},
      {"precision", {{"p", "f33"}}, "/precision/f32/p"},
      {"options", 1, "/calls/0/options: expected an object"},
  };
  for (const auto& [key, value, words] : wrong)
    EXPECT_NE(with(key, value).find(words), std::string::npos) << words << "\n" << with(key, value);
  write_index(nlohmann::json::array(), {{"attnfuzz_recording", 2}});
  EXPECT_NE(complaint().find("/attnfuzz_recording: expected format version 1"), std::string::npos);
  write_index({{"a", 1}});
  EXPECT_NE(complaint().find("/calls: expected a list"), std::string::npos) << complaint();
}

}  // namespace
}  // namespace attnfuzz
