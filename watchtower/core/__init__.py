"""The pure core: what is true, what should follow, and nothing that touches the world.

No asyncio, sockets, files, clocks, randomness or logging; import-linter checks it. Everything is a
function of what is handed in, so every rule can be read, tested and replayed by itself.

    commands  ->  ledger.apply  ->  model.State        what the log says, equal on every peer
    State + View  ->  verdicts.observe                 eligibility, quorum, heartbeats, peers
    State + verdicts  ->  decide.decide  ->  commands  incidents, routing, outbox, office

Read model (the nouns), then ledger (what may be written), then decide (the policy).
"""
