# SPDX-License-Identifier: Apache-2.0
"""How the HTML report looks: system fonts, light or dark as the reader has it."""

STYLE = """
:root { --paper: #ffffff; --sheet: #f6f7f9; --ink: #1b2330; --soft: #5f6773; --line: #e2e5ea;
  --over: #c0392b; --map-ink: var(--soft); --map-paper: var(--sheet); --map-grid: #8a93a02e;
  --c0: #4f7cc4; --c1: #2f8f83; --c2: #c9822b; --c3: #8b6bb1; --c4: #b9545c; --c5: #8a929c; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181f; --sheet: #1c222b; --ink: #e6e9ee; --soft: #9aa4b2; --line: #2c3440;
    --over: #ff7b6b; --map-grid: #8a93a03d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 15px/1.5 ui-sans-serif, system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial,
  sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1080px; margin: 0 auto; padding: 48px 28px 64px; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; font-weight: 650; }
header p { margin: 8px 0 0; color: var(--soft); }
header i { font-style: normal; opacity: 0.5; margin: 0 4px; }
section { margin-top: 44px; }
h2 { margin: 0 0 14px; font-size: 19px; font-weight: 620; letter-spacing: -0.01em; }
h3 { margin: 0; font-size: 15px; font-weight: 600; }
small { font-size: 12px; font-weight: 400; color: var(--soft); margin-left: 4px; }
code { font: 12.5px ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px;
  margin-top: 28px; }
.card { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px; }
.card h3 { font-size: 13px; font-weight: 500; color: var(--soft); }
.card b { display: block; margin: 4px 0 2px; font-size: 27px; font-weight: 640; line-height: 1.2;
  letter-spacing: -0.02em; }
.card p { margin: 0; font-size: 13px; color: var(--soft); }
.budgets { display: grid; gap: 26px; }
.line { display: flex; justify-content: space-between; align-items: baseline; gap: 16px;
  flex-wrap: wrap; }
.line p { margin: 0; color: var(--soft); }
.line b { color: var(--ink); font-weight: 620; }
.over { font-style: normal; font-weight: 600; color: var(--over); }
.bar { position: relative; display: flex; height: 14px; margin: 8px 0 10px; border-radius: 7px;
  overflow: hidden; background: var(--line); }
.bar span { min-width: 2px; }
.bar u { position: absolute; top: 0; bottom: 0; width: 3px; background: var(--over);
  box-shadow: 0 0 0 1.5px var(--paper); }
.budget ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr));
  gap: 3px 32px; font-size: 13px; }
.budget li { display: flex; align-items: baseline; gap: 8px; }
.budget li span { flex: 1; } .budget li code { color: var(--soft); font-size: 11.5px; }
.budget li b { font-weight: 500; }
li i { flex: none; display: inline-block; width: 9px; height: 9px; border-radius: 2.5px; }
.c0 { background: var(--c0); } .c1 { background: var(--c1); } .c2 { background: var(--c2); }
.c3 { background: var(--c3); } .c4 { background: var(--c4); } .c5 { background: var(--c5); }
figure { margin: 0; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px;
  padding: 18px 14px 12px; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 640px; height: auto; }
.keys { display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 4px 0 2px 60px; font-size: 13px;
  color: var(--soft); }
.keys i { margin-right: 7px; }
.keys .activation { background: var(--c0); } .keys .input { background: var(--c1); }
.keys .output { background: var(--c2); } .keys .front_end { background: var(--c3); }
.keys .state { background: var(--c4); } .keys .scratch { background: var(--c5); }
.keys .dash { height: 0; width: 16px; border-top: 2px dashed var(--soft); border-radius: 0;
  vertical-align: middle; }
.keys.plain { padding-left: 44px; }
.keys .b8 { background: #2f8f83; } .keys .b4 { background: #4f7cc4; }
.keys .b3 { background: #c9822b; } .keys .b2 { background: #b9545c; }
.keys .there { background: #8a929c; }
.stack { display: grid; gap: 12px; } .stack figure + h3 { margin-top: 14px; }
.small td { font-size: 12px; padding: 5px 8px 5px 0; } .small th { padding-right: 8px; }
.small th.n { white-space: normal; } .small small { font-size: 11px; }
.small code { white-space: nowrap; font-size: 12px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { text-align: left; font-size: 12.5px; font-weight: 500; color: var(--soft); }
th, td { padding: 8px 14px 8px 0; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; }
td b { font-weight: 620; }
.wer { display: inline-block; width: 110px; height: 6px; margin-right: 12px; border-radius: 3px;
  background: var(--line); vertical-align: middle; }
.wer span { display: block; height: 6px; border-radius: 3px; background: var(--c0); }
.note { margin: 12px 0 0; font-size: 13px; color: var(--soft); }
footer { margin-top: 52px; padding-top: 16px; border-top: 1px solid var(--line); font-size: 12.5px;
  color: var(--soft); }
@media print { main { padding: 0; } section { break-inside: avoid; } }
"""
