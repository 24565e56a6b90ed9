"""How the page of a replay looks: on a screen, light or dark, wide or narrow, and on paper."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2026; --soft: #5b6670;
  --line: #dfe4e8; --then: #9aa5b1; --now: #1f4e79; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #15191e; --ink: #e4e8ec;
  --soft: #9aa6b2; --line: #2c333b; --then: #66717d; --now: #8cc0f0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 860px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); font-size: .85rem; white-space: nowrap; }
td.t { min-width: 6.5em; } td.t:last-child { min-width: 12em; }
td.n, th.n { text-align: right; white-space: nowrap; } td.w { white-space: nowrap; }
th.m { text-align: center; } th.m:empty { border: 0; }
svg { display: block; width: 100%; min-width: 560px; height: auto; }
svg line { stroke: var(--line); }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.end { text-anchor: end; } .mid { text-anchor: middle; }
.then { fill: var(--then); } .now { fill: var(--now); }
.key { margin-right: 1.2em; }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em;
  margin-right: .4em; }
.key.a::before { background: var(--then); } .key.b::before { background: var(--now); }
@media print { body { margin: 0; max-width: none; font-size: 11px; }
  h2, h3 { break-after: avoid; } svg, tr { break-inside: avoid; } .wide { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
