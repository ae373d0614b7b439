// What version 3 of the JavaScript SDK makes of a sandbox, written to standard output as one line of JSON.
// The one argument is JSON too: where the SDK is installed, where the sandbox is, and its keys.

const { createRequire } = require("node:module");

const told = JSON.parse(process.argv[2]);
const Alpaca = createRequire(`${told.modules}/`)("alpaca-3");

const alpaca = new Alpaca({
    keyId: told.key, secretKey: told.secret, baseUrl: told.trading_url, dataBaseUrl: told.data_url, dataStreamUrl: told.stream_url,
});
alpaca.trade_ws.session.url = told.trading_stream_url;
alpaca.data_stream_v2.session.url = `${told.stream_url}/v2/iex`;

const complaints = [];
const updates = [];
const streamed = { quotes: [], trades: [], bars: [] };

const bar = (one) => ({
    symbol: one.Symbol ?? "AAPL", t: new Date(one.Timestamp).toISOString(),
    o: one.OpenPrice, h: one.HighPrice, l: one.LowPrice, c: one.ClosePrice, v: one.Volume, n: one.TradeCount,
});
const quote = (one) => ({ symbol: one.Symbol, bid: one.BidPrice, ask: one.AskPrice });

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
const until = async (holds) => { while (!holds()) await turn(); };
const heard = (id, event) => updates.find((update) => update.order.id === id && update.event === event);
const rest = () => alpaca.createOrder({ symbol: "AAPL", qty: 1, side: "buy", type: "limit", time_in_force: "gtc", limit_price: 1 });

async function trading() {
    alpaca.trade_ws.onError((error) => complaints.push(String(error)));
    alpaca.trade_ws.onOrderUpdate((update) => updates.push(update));
    alpaca.trade_ws.onConnect(() => alpaca.trade_ws.subscribe(["trade_updates"]));
    alpaca.trade_ws.connect();
    while (!updates.length) { await rest(); await turn(); }
    await alpaca.cancelAllOrders();

    const order = await alpaca.createOrder({ symbol: "DEMO.PARTIAL", qty: 3, side: "buy", type: "market", time_in_force: "gtc" });
    await until(() => heard(order.id, "fill"));
    const gone = await rest();
    await until(() => heard(gone.id, "new"));
    await alpaca.cancelOrder(gone.id);
    await until(() => heard(gone.id, "canceled"));
    const old = await rest();
    await until(() => heard(old.id, "new"));
    const replaced = await alpaca.replaceOrder(old.id, { limit_price: "2" });
    await until(() => heard(replaced.id, "new"));

    const account = await alpaca.getAccount();
    const found = await alpaca.getOrder(order.id);
    const position = await alpaca.getPosition("DEMO.PARTIAL");
    return {
        account: { status: account.status, cash: account.cash },
        filled: { status: found.status, qty: found.filled_qty, price: found.filled_avg_price },
        cancelled: (await alpaca.getOrder(gone.id)).status,
        replaced: { limit: replaced.limit_price, replaces: replaced.replaces === old.id },
        open: (await alpaca.getOrders({ status: "open" })).map((one) => one.id === replaced.id),
        closed: (await alpaca.getOrders({ status: "closed", symbols: "DEMO.PARTIAL" })).length,
        positions: (await alpaca.getPositions()).map((one) => one.symbol),
        position: { qty: position.qty, side: position.side },
        closing: (await alpaca.closePosition("DEMO.PARTIAL")).side,
        events: updates.filter((update) => update.order.id === order.id).map((update) => update.event),
        pieces: updates.filter((update) => update.order.id === order.id && update.price).map((update) => Number(update.qty)),
        clock: (await alpaca.getClock()).is_open,
        asset: (await alpaca.getAsset("AAPL")).exchange,
    };
}

async function data() {
    const bars = [];
    const span = { start: told.start, end: told.end, timeframe: alpaca.newTimeframe(1, alpaca.timeframeUnit.MIN) };
    for await (const one of alpaca.getBarsV2("AAPL", span)) bars.push(bar(one));
    const both = await alpaca.getMultiBarsV2(["AAPL", "MSFT"], { ...span, end: told.soon });
    const history = { count: bars.length, first: bars[0].t, last: bars.at(-1).t, both: [...both.values()].map((of) => of.length) };
    const latest = { ...quote(await alpaca.getLatestQuote("AAPL")), symbol: "AAPL" };

    const stream = alpaca.data_stream_v2;
    stream.onError((error) => complaints.push(String(error)));
    stream.onStockQuote((one) => streamed.quotes.push(quote(one)));
    stream.onStockTrade((one) => streamed.trades.push({ symbol: one.Symbol, price: one.Price, t: one.Timestamp.toISOString() }));
    stream.onStockBar((one) => streamed.bars.push(bar(one)));
    stream.onConnect(() => {
        stream.subscribeForQuotes(["AAPL", "MSFT"]);
        stream.subscribeForTrades(["AAPL"]);
        stream.subscribeForBars(["AAPL"]);
    });
    stream.connect();
    await until(() => streamed.quotes.length > 5 && streamed.trades.length > 5 && streamed.bars.length);
    const [live] = streamed.bars;
    const again = [];
    for await (const one of alpaca.getBarsV2("AAPL", { ...span, start: live.t, end: live.t })) again.push(bar(one));
    return { history, latest, streamed: { quotes: streamed.quotes.slice(0, 6), trades: streamed.trades.slice(0, 6), bar: live }, again };
}

trading().then(async (found) => {
    console.log(JSON.stringify({ ...found, ...(await data()), complaints }));
    process.exit(0);
}).catch((error) => {
    console.error(error);
    process.exit(1);
});
