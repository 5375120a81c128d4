//! The longer texts of the help: what a newcomer reads first, and the documents that
//! `--json` prints. Only `args.rs` uses them. A JSON page names every field its command
//! prints; amounts are strings of coins, ids and addresses lower-case hex, times
//! milliseconds since 1970.

/// `mvb` and `mvb --help`.
pub const ABOUT: &str = "\
mvb: a Minimum Viable Blockchain

Wallets and miners on a network keep one ledger together, and nobody is in charge of it.
A wallet holds keys; whoever has the key of an address can spend what the address was
paid. Payments are announced to everybody. A miner collects them into a block and searches
for a number that makes the block's hash small enough: hard to find, easy to check. Each
block names the one before it, so they form a chain, and the chain with the most work in
it is the ledger.

From nothing to a confirmed payment, in two terminals:

  one    mvb miner
  two    mvb wallet new-address alice
         mvb wallet send mining_rewards 2.5 alice --wait
         mvb wallet list-addresses

Or watch a whole network do it, explained step by step:

         mvb demo";

/// Below the options of `mvb -h`.
pub const AFTER_HELP: &str = "\
`mvb --help` explains more, `mvb COMMAND --help` explains a command.";

/// Below the options of `mvb --help`.
pub const AFTER_LONG_HELP: &str = "\
Settings come from, the later the stronger: defaults, mvb.toml in the home, environment
variables MVB_<PARAMETER>, the command line. `mvb config` shows each with its source.

Exit codes:
  0    done; also a miner or sync that was ended with Ctrl-C, and output nobody reads on
  1    it failed: one line on stderr says why and what to do
  2    the command line or a setting is wrong
  130  ended by Ctrl-C before it was done: send --wait, sync --until-synced, demo, bench
  134  a bug in mvb: please report the message";

/// `mvb wallet --help`.
pub const WALLET: &str = "\
Keys, balances and payments.

All of these work beside a running `mvb miner` or `mvb wallet sync` on the same home, and
without any network: a payment is saved first and announced until it is in a block, by
whatever runs on this home.";

/// `mvb wallet new-address --help`.
pub const NEW_ADDRESS: &str = "\
Create a key and with it an address to be paid at.

The key is a file NAME.pem in key_store_dir (default: the home). It is all that is needed
to spend what the address holds, and it cannot be made again: keep it secret and keep a copy.";

/// JSON of new-address.
pub const NEW_ADDRESS_JSON: &str = "\
JSON: {\"name\", \"address\", \"file\", \"key_size\", \"encrypted\"}";

/// `mvb wallet list-addresses --help`.
pub const LIST_ADDRESSES: &str = "\
The addresses of this home with their balances.

Balance is what the chain on this home confirms. Pending is what payments of this home that
are not in a block yet will change: minus what goes out, plus what comes in. The case of an
address's letters is a checksum.";

/// JSON of list-addresses.
pub const LIST_ADDRESSES_JSON: &str = "\
JSON: {\"addresses\": [{\"name\", \"address\", \"balance\", \"pending\", \"key_size\",
       \"encrypted\"}], \"unreadable\": [{\"file\", \"reason\"}]}; pending is signed, such as
       \"-2.500000\"";

/// `mvb wallet send --help`.
pub const SEND: &str = "\
Pay somebody.

Prints the payment's id and what it waits for. The payment is saved, announced at once,
and then announced by whatever runs on this home (`mvb wallet sync`, `mvb miner`) until it is
in a block. What the confirmed balance less the payments still pending cannot cover is refused.

  mvb wallet send alice 10 bob
  mvb wallet send alice 0.5 415D29e1...a83AE5 --fee 0.001 --wait";

/// JSON of send and cancel.
pub const SEND_JSON: &str = "\
JSON: {\"id\", \"from\", \"to\", \"amount\", \"fee\", \"sequence\", \"state\", \"waits_for\",
       \"height\", \"warnings\": []}; state is pending or confirmed, waits_for a text or null,
       height the block's or null. With --wait a second such document follows on a line of
       its own once it is confirmed.";

/// `mvb wallet cancel --help`.
pub const CANCEL: &str = "\
Replace a payment that is not confirmed yet by one to oneself.

The new payment takes the old one's place in the sender's order and pays a fee that is higher
by a tenth (at least 0.000001), so miners prefer it. One of the two is confirmed, never both;
until a block says which, the old one may still win.";

/// `mvb wallet sync --help`.
pub const SYNC: &str = "\
Follow the network: download new blocks, announce payments not confirmed yet.

Runs until Ctrl-C. With --until-synced it ends with exit code 0 as soon as a miner was heard
and nobody heard has a better chain. Otherwise an explorer shows the chain in a browser, at the
address printed; --no-http serves none.";

/// JSON of sync.
pub const SYNC_JSON: &str = "\
JSON, one document a line, told apart by \"event\":
  {\"event\": \"listening\", \"network\", \"genesis\", \"height\", \"tip\", \"explorer\"}
  {\"event\": \"peers\", \"count\", \"best_height\"}
  {\"event\": \"download\", \"from\", \"height\", \"claimed\"}
  {\"event\": \"tip\", \"height\", \"tip\", \"work\", \"payments\", \"reorg\"}
  {\"event\": \"pending\", \"count\"}
  {\"event\": \"payment\", \"id\", \"change\", \"key\", \"amount\", \"height\", \"was\"}: a reorg
      touched a payment from or to key; change is returned (it waits again), confirmed-again,
      moved or superseded, height that of its block now or null, was before or null
  {\"event\": \"warning\", \"text\"}
  {\"event\": \"synced\", \"height\", \"tip\"}";

/// `mvb wallet history --help`.
pub const HISTORY: &str = "\
What an address was paid and has paid, the newest first.

Payments of this home that are not in a block yet come first, marked pending.";

/// JSON of history.
pub const HISTORY_JSON: &str = "\
JSON: {\"address\", \"balance\", \"entries\": [{\"state\", \"height\", \"time\", \"kind\",
       \"amount\", \"fee\", \"other\", \"id\"}]}; kind is received, sent, sent-to-self or reward; height is null
       while pending, other and id are null for a reward";

/// `mvb wallet why --help`.
pub const WHY: &str = "\
Why a payment is not confirmed yet.

Looks at the chain, at the pending payments of this home and at what its running `mvb miner`
or `mvb wallet sync` sees, then says what the payment waits for and what would help.";

/// JSON of why.
pub const WHY_JSON: &str = "\
JSON: {\"id\", \"state\", \"reason\", \"height\", \"confirmations\"}; state is confirmed,
       pending, superseded or unknown";

/// `mvb miner --help`.
pub const MINER: &str = "\
Mine blocks, serve them to others, earn coins.

Runs until Ctrl-C. It listens for one status interval first and catches up if others have a
better chain. A block needs block_size transactions, its own reward counted, except the first,
so on the default network a miner waits until somebody pays.

Its explorer shows the chain in a browser, at the address printed; --no-http serves none.";

/// JSON of the miner.
pub const MINER_JSON: &str = "\
JSON, one document a line, told apart by \"event\":
  {\"event\": \"started\", \"network\", \"genesis\", \"height\", \"tip\", \"reward_to\", \"threads\",
   \"kernel\", \"port\", \"explorer\"}
  {\"event\": \"mined\" or \"tip\", \"height\", \"tip\", \"work\", \"payments\", \"reorg\"}
  {\"event\": \"mining\", \"state\", \"height\", \"missing\", \"hashes_per_second\",
   \"seconds_per_block\", \"blocks_found\", \"peers\", \"waiting_payments\"}
  {\"event\": \"download\", \"from\", \"height\", \"claimed\"}
  {\"event\": \"warning\", \"text\"}
state is listening, catching-up, waiting-for-payments (missing says how many) or searching";

/// `mvb chain --help`.
pub const CHAIN: &str = "\
Look at the chain, check it, or begin a new one.

These read this home's copy; `mvb wallet sync` and `mvb miner` bring it up to date.";

/// JSON of chain info.
pub const CHAIN_INFO_JSON: &str = "\
JSON: {\"network_name\", \"genesis\", \"height\", \"tip\", \"work\", \"time\", \"supply\",
       \"difficulty\", \"block_size\", \"block_reward\", \"target_block_seconds\",
       \"max_block_bytes\", \"folder\", \"resident\"}; time is the tip's or null, work a decimal
       number as a string, resident what runs on this home or null";

/// JSON of chain block.
pub const CHAIN_BLOCK_JSON: &str = "\
JSON: {\"id\", \"height\", \"previous\", \"active\", \"time\", \"target\", \"nonce\", \"work\",
       \"content_root\", \"size\", \"reward\": {\"to\", \"amount\"}, \"payments\": [{\"id\", \"from\",
       \"to\", \"amount\", \"fee\", \"sequence\"}]}; with --explain also \"explanation\":
       [{\"name\", \"parts\": [{\"meaning\", \"bytes\"}], \"hash\"}] and \"full_target\"";

/// JSON of chain verify.
pub const CHAIN_VERIFY_JSON: &str = "\
JSON: {\"ok\", \"height\", \"tip\", \"accounts\", \"payments\", \"difference\"}; difference is
       a text or null, and the exit code is 1 when ok is false";

/// `mvb chain reset --help`.
pub const RESET: &str = "\
Begin a new chain under a new name; keys and payments are kept.

A network is named by its parameters, network_name among them. A new beginning needs a new
name, for under the old one everybody's old payments would be valid again. The home
remembers the new one; the old chain is deleted after a question, which --yes answers. Other
parameters can change at the same time: mvb chain reset week-2 --set difficulty=24
Everybody who shall be in the new network sets the same name.";

/// JSON of chain reset.
pub const RESET_JSON: &str = "\
JSON: {\"network_name\", \"genesis\", \"previous_network_name\", \"previous_genesis\"}";

/// `mvb config --help`.
pub const CONFIG: &str = "\
Every parameter: its value, where that came from, what it means.

A parameter is set, the later the stronger, in mvb.toml of the home (difficulty = 20), by an
environment variable (MVB_DIFFICULTY=20) or on the command line (--set difficulty=20). Those of
the chain are the same for everybody in a network: a change makes another network.";

/// JSON of config.
pub const CONFIG_JSON: &str = "\
JSON: {\"home\", \"genesis\", \"parameters\": [{\"name\", \"value\", \"source\", \"default\",
       \"allowed\", \"meaning\"}]}";

/// `mvb doctor --help`.
pub const DOCTOR: &str = "\
What stands in the way of a node here, and what to do about it.

Looks at the home, its disk, keys, lock and chain, at the ports, at whether broadcasts go out
and come back, at firewalls, clocks and the parameters of whoever is heard, and says of each
what it found. Nothing is changed. Exit code 0 means that there is no problem; a note is worth
knowing, but nothing wrong.";

/// JSON of doctor.
pub const DOCTOR_JSON: &str = "\
JSON: {\"home\", \"network\", \"genesis\", \"well\", \"findings\": [{\"check\", \"level\",
       \"found\", \"remedy\"}]}; level is ok, note or problem, remedy null where it is ok";

/// `mvb demo --help`.
pub const DEMO: &str = "\
Watch a whole network at work on this machine, step by step.

Starts miners and wallets as programs of their own in a temporary folder (or --home), lets
them mine and pay, splits the network in two, lets both halves mine on, and joins them again.
Everything stays on this machine and is removed at the end.

With --lab the network is in this process, in memory, and in your hands: commands on stdin
split and heal it, pay, give hash power away and play attacks through. `help` lists them.";

/// JSON of demo.
pub const DEMO_JSON: &str = "\
JSON, one document a line, told apart by \"event\":
  {\"event\": \"step\", \"number\", \"title\"}
  {\"event\": \"fact\" or \"command\" or \"line\", \"text\"}
  {\"event\": \"done\", \"height\", \"tip\", \"payment\", \"seconds\"}";

/// `mvb completions --help`.
pub const COMPLETIONS: &str = "\
The script with which a shell completes mvb's commands and options. For one user:

  bash   mvb completions bash > ~/.local/share/bash-completion/completions/mvb
  zsh    mvb completions zsh > a folder of your fpath, as _mvb
  fish   mvb completions fish > ~/.config/fish/completions/mvb.fish";

/// JSON of completions.
pub const COMPLETIONS_JSON: &str = "\
JSON: {\"shell\", \"script\"}";

/// `mvb man --help`.
pub const MAN: &str = "\
Write the man pages, one for each command: mvb.1, mvb-wallet.1, mvb-wallet-send.1 …

For one user: mvb man ~/.local/share/man/man1";

/// JSON of man.
pub const MAN_JSON: &str = "\
JSON: {\"folder\", \"pages\"}, the file names";

/// `mvb bench --help`.
pub const BENCH: &str = "\
How fast this machine mines, stops, and brings blocks to other nodes.

No home is read or written: what needs nodes runs them as programs of their own in a temporary
folder, which TMPDIR names and which is removed at the end. Nothing leaves this machine.";

/// `mvb bench mine --help`.
pub const BENCH_MINE: &str = "\
Every way to search that this CPU has (a kernel), compared in turns: A B C A B C.

Each runs in the search threads of mvb miner, on one thread held on one core and on all of
them. Speeds are millions of hashes a second, medians with the slowest and the fastest turn;
those of one thread count its processor time only, so that other programs disturb them little.
They are compared with hashing the whole header (Sha256::digest) and with a midstate and one
compression a nonce (compress256), both of the sha2 library.";

/// JSON of bench mine.
pub const BENCH_MINE_JSON: &str = "\
JSON: {\"threads\", \"turns\", \"best\", \"kernels\": [{\"kernel\", \"roots\", \"mhs_per_thread\",
       \"slowest\", \"fastest\", \"mhs_wall\", \"mhs_all\", \"mhs_all_per_cpu\", \"ratio_to_digest\",
       \"ratio_to_midstate\"}], \"not_run\": [{\"reason\"}],
       \"references\": [{\"reference\", \"mhs_per_thread\"}],
       \"expected\": [{\"difficulty\", \"seconds\"}]}";

/// `mvb bench stop --help`.
pub const BENCH_STOP: &str = "\
How long mining goes on after a better chain was found valid, and how soon the next job begins.

A real chain manager and miner, on a chain in memory, with jobs that will not be solved; blocks
are announced one after the other. Measured from the announcement to the moment the last search
thread has left its job, and to the first nonce that is tried of the next one, with 1 search
thread, one for each core, and two for each core.";

/// JSON of bench stop.
pub const BENCH_STOP_JSON: &str = "\
JSON, in microseconds: {\"kernel\", \"cores\", \"announcements\", \"threads\": [{\"threads\",
      \"stopped\": {\"p50\", \"p99\", \"max\"}, \"next\": {\"p50\", \"p99\", \"max\"}}]}";

/// `mvb bench miner --help`.
pub const BENCH_MINER: &str = "\
What the whole miner makes of a kernel.

First the rate that a miner with one thread reports while it searches for what it will not find,
in turns with its search thread alone. Then the blocks a second that it finds at difficulty 18 with
block_size 1, where they come faster than a disk syncs, against what the rate allows. Then how
long others wait for its block server while it mines on all cores: 1,000 connections, and 1,000
requests on one. The last two run mvb miner as a program of its own.";

/// JSON of bench miner.
pub const BENCH_MINER_JSON: &str = "\
JSON: {\"kernel\", \"rate\": {\"reported_mhs\", \"kernel_mhs\", \"ratio\"},
      \"blocks\": {\"difficulty\", \"count\", \"per_second\", \"allowed_per_second\", \"ratio\"},
      \"answers\": {\"threads\", \"difficulty\", \"connections\": {\"p50\", \"p99\", \"max\"},
      \"requests\": {\"p50\" …}}}, the last two in milliseconds";

/// `mvb bench propagate --help`.
pub const BENCH_PROPAGATE: &str = "\
How long a block takes from the miner that finds it to the disk of every node.

Runs nodes as programs of their own on this machine. None searches: each waits for payments, and
one after the other is handed the one it lacks, with which it finds a block at once. Measured from
just before that to the moment each node says that its disk has the block. First blocks of a
payment, then full ones whose payments every node has in its mempool already, but for the last.";

/// JSON of bench propagate.
pub const BENCH_PROPAGATE_JSON: &str = "\
JSON, in milliseconds: {\"nodes\", \"sync\": {\"p50\", \"p99\", \"max\"},
      \"small\": {\"blocks\", \"all\": {\"p50\" …}, \"finder\": {…}, \"last\": {…}},
      \"full_payments\", \"full\": {as \"small\"}}: each node, the finder alone, the last node;
      \"sync\" is a small file's alone";

/// `mvb bench sync --help`.
pub const BENCH_SYNC: &str = "\
A long chain fetched, verified and stored, compared with verifying its signatures alone.

A chain is generated first, at a difficulty that costs nothing; that is not measured. Then a
node process serves it and a new one fetches it over the loopback network, with homes, ports
and parameters of their own. Measured from the start of the new process to the tip being on its
disk; in turns with it the same signatures are verified by themselves on all cores, while both
processes are held and their clock stands still. With --dir a chain that is there is used again.";

/// JSON of bench sync.
pub const BENCH_SYNC_JSON: &str = "\
JSON: {\"blocks\", \"transactions_per_block\", \"seconds\", \"blocks_per_second\",
       \"transactions_per_second\", \"verifications_per_second\", \"turns\", \"ratio_to_verification\",
       \"first_tenth_blocks_per_second\", \"last_tenth_blocks_per_second\",
       \"first_tenth_verifications_per_second\", \"last_tenth_verifications_per_second\",
       \"most_anonymous_bytes\", \"processor_seconds\", \"serving_processor_seconds\",
       \"file_bytes\", \"bytes_per_payment\"}";

/// `mvb bench explorer --help`.
pub const BENCH_EXPLORER: &str = "\
How long every page of the explorer takes, and every answer of its API, on a long chain.

A chain is generated first, at a difficulty that costs nothing; that is not measured. A miner then
runs on it as a program of its own, waits for payments and serves its explorer; each page is asked
for over one connection that is kept, in turns, for blocks and payments spread over the whole
chain, and for the address with the longest history. The first round is not counted. With --dir
a chain that is there is used again.";

/// JSON of bench explorer.
pub const BENCH_EXPLORER_JSON: &str = "\
JSON: {\"blocks\", \"transactions_per_block\", \"history_entries\", \"requests\",
       \"pages\": [{\"page\", \"p50_ms\", \"p95_ms\", \"max_ms\", \"bytes\"}]}";

/// `mvb bench store --help`.
pub const BENCH_STORE: &str = "\
What look-ups, commits and starts take on a long chain, beside one of 10,000 blocks.

Both chains are generated first; that is not measured. Look-ups are made in snapshots of their
own, spread over the whole chain, with its file in the system's cache. A commit is one block,
synced. A node's start is measured until others can connect to it, and mvb wallet list-addresses
as a whole program with 10 keys, in turns with an empty chain. With --dir chains that are there
are used again, those of mvb bench sync among them.";

/// JSON of bench store.
pub const BENCH_STORE_JSON: &str = "\
JSON: {\"transactions_per_block\", \"chains\": [{\"blocks\", \"lookups_microseconds\":
       {\"balance\", \"block_by_height\", \"block_by_id\", \"transaction\", \"history_page\"},
       \"commit_p50_ms\", \"commit_p99_ms\", \"list_addresses_seconds\", \"start_seconds\",
       \"file_bytes\", \"bytes_per_payment\"}], \"empty_list_addresses_seconds\",
       \"empty_start_seconds\", \"balance_ratio\", \"list_addresses_ratio\"}";

/// `mvb bench intake --help`.
pub const BENCH_INTAKE: &str = "\
What becomes of payments that arrive as datagrams, many a second, at a node that mines.

Runs one node as a program of its own on this machine, mining on all cores, its mempool large
enough for all payments. They are valid, signed beforehand, and sent once each at an even pace.
Each must be accepted, refused with a reason, or be among those that the system dropped because
the node's receive buffer was full.";

/// JSON of bench intake.
pub const BENCH_INTAKE_JSON: &str = "\
JSON: {\"difficulty\", \"sent\", \"per_second\", \"accepted\", \"accepted_share\",
      \"duplicates\", \"refused\": {reason: count}, \"dropped\", \"malformed\",
      \"kernel_drops\", \"unaccounted\", \"settled_after_seconds\", \"blocks\", \"waiting\"}";
