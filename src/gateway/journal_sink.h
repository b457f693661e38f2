// The keeper's journal as the gateway's RecordSink.
#pragma once

#include "gateway/gateway.h"
#include "ledger/journal_writer.h"
#include "runtime/loop.h"

namespace hexr::gateway {

// Opens what the keeper's answer to OpenJournal holds. `loop` outlives every sink that this makes. `sync` stands for
// fdatasync(2) in tests.
OpenSink OpenJournalSink(runtime::Loop& loop, ledger::SyncPolicy policy, ledger::JournalWriter::SyncFile sync = {});

}  // namespace hexr::gateway
