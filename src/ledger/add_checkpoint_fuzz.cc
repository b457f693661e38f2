// Requests to a witness: nothing but a checkpoint that its log has signed gets a signature.
#include "ledger/testing/memory_storage.h"
#include "ledger/testing/test_keys.h"
#include "ledger/witness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hexr::ledger;
  static const NoteSigner log = testing::TestSigner("example.org/log");
  static const NoteSigner cosigner = testing::TestSigner("witness.example/w", NoteKeyType::kCosignatureV1, 5);
  static const hexr::ManualClock clock(testing::kTestTime);
  const std::string_view body = hexr::AsText({data, size});
  if (const auto request = AddCheckpointRequest::Parse(body); request.ok()) HEXR_CHECK(request->ToBody() == body);
  testing::MemoryStorage state;
  Witness witness = Witness::Open(state, cosigner, {log.verifier()}, clock).value();
  const WitnessAnswer answer = witness.AddCheckpoint(body);
  HEXR_CHECK(answer.status == 200 || answer.body.find("\xE2\x80\x94") == std::string::npos);
  if (answer.status == 200) HEXR_CHECK(witness.Latest("example.org/log").ok());
  return 0;
}
