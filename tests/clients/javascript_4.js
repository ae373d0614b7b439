// What version 4 of the JavaScript SDK makes of a sandbox, written to standard output as one line of JSON.
// The one argument is JSON too: where the SDK is installed, where the sandbox is, and its keys.

const { createRequire } = require("node:module");

const told = JSON.parse(process.argv[2]);
const { Alpaca, TimeFrame } = createRequire(`${told.modules}/`)("alpaca-4");

const HOSTS = { "https://paper-api.alpaca.markets": told.trading_url, "https://data.alpaca.markets": told.data_url };
const fetchApi = (url, init) => {
    const { origin } = new URL(url);
    return fetch(HOSTS[origin] + url.slice(origin.length), init);
};
const alpaca = new Alpaca({ keyId: told.key, secret: told.secret, fetchApi, rateLimit: false });
const { orders, positions } = alpaca.trading;

const complaints = [];
const updates = [];
const streamed = { quotes: [], trades: [], bars: [] };

const bar = (one) => ({
    symbol: one.symbol, t: one.timestamp.toISOString(),
    o: one.open, h: one.high, l: one.low, c: one.close, v: one.volume, n: one.tradeCount,
});
const quote = (one) => ({ symbol: one.symbol, bid: one.bidPrice, ask: one.askPrice });

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
const until = async (holds) => { while (!holds()) await turn(); };
const heard = (id, event) => updates.find((update) => update.order.id === id && update.event === event);
const rest = () => orders.limit({ symbol: "AAPL", qty: 1, side: "buy", timeInForce: "gtc", limitPrice: 1 });

async function trading() {
    const stream = alpaca.trading.stream({ url: told.trading_stream_url });
    stream.onError((error) => complaints.push(String(error)));
    stream.onTradeUpdate((update) => updates.push(update));
    stream.onConnect(() => stream.subscribeTradeUpdates());
    stream.connect();
    while (!updates.length) { await rest(); await turn(); }
    await orders.deleteAllOrders();

    const order = await alpaca.trading.submitAndWait(
        { type: "market", symbol: "DEMO.PARTIAL", qty: 3, side: "buy", timeInForce: "gtc" }, { stream },
    );
    const gone = await rest();
    await until(() => heard(gone.id, "new"));
    await orders.deleteOrderByOrderID({ orderId: gone.id });
    await until(() => heard(gone.id, "canceled"));
    const old = await rest();
    await until(() => heard(old.id, "new"));
    const replaced = await orders.patchOrderByOrderId({ orderId: old.id, patchOrderRequest: { limitPrice: "2" } });
    await until(() => heard(replaced.id, "new"));

    const account = await alpaca.trading.account.getAccount();
    const found = await orders.getOrderByOrderID({ orderId: order.id });
    const position = await positions.getOpenPosition({ symbolOrAssetId: "DEMO.PARTIAL" });
    return {
        account: { status: account.status, cash: account.cash },
        filled: { status: found.status, qty: found.filledQty, price: found.filledAvgPrice },
        cancelled: (await orders.getOrderByOrderID({ orderId: gone.id })).status,
        replaced: { limit: replaced.limitPrice, replaces: replaced.replaces === old.id },
        open: (await orders.getAllOrders({ status: "open" })).map((one) => one.id === replaced.id),
        closed: (await orders.getAllOrders({ status: "closed", symbols: ["DEMO.PARTIAL"] })).length,
        positions: (await positions.getAllOpenPositions()).map((one) => one.symbol),
        position: { qty: position.qty, side: position.side },
        closing: (await positions.deleteOpenPosition({ symbolOrAssetId: "DEMO.PARTIAL" })).side,
        events: updates.filter((update) => update.order.id === order.id).map((update) => update.event),
        pieces: updates.filter((update) => update.order.id === order.id && update.price).map((update) => Number(update.qty)),
        clock: (await alpaca.trading.clock.legacyClock()).isOpen,
        asset: (await alpaca.trading.assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "AAPL" })).exchange,
    };
}

async function data() {
    const span = { start: new Date(told.start), end: new Date(told.end), timeframe: TimeFrame.Minute };
    const bars = (await alpaca.marketData.getStockBarsFor("AAPL", span)).map(bar);
    const both = await alpaca.marketData.getStockBars({ ...span, end: new Date(told.soon), symbols: ["AAPL", "MSFT"] });
    const history = { count: bars.length, first: bars[0].t, last: bars.at(-1).t, both: Object.values(both).map((of) => of.length) };
    const { quotes } = await alpaca.marketData.stocks.stockLatestQuotes({ symbols: "AAPL" });
    const latest = { symbol: "AAPL", bid: quotes.AAPL.bp, ask: quotes.AAPL.ap };

    const stream = alpaca.marketData.stockStream({ feed: "iex", url: `${told.stream_url}/v2/iex` });
    stream.onError((error) => complaints.push(String(error)));
    stream.onQuote((one) => streamed.quotes.push(quote(one)));
    stream.onTrade((one) => streamed.trades.push({ symbol: one.symbol, price: one.price, t: one.timestamp.toISOString() }));
    stream.onBar((one) => streamed.bars.push(bar(one)));
    stream.onConnect(() => {
        stream.subscribeForQuotes(["AAPL", "MSFT"]);
        stream.subscribeForTrades(["AAPL"]);
        stream.subscribeForBars(["AAPL"]);
    });
    stream.connect();
    await until(() => streamed.quotes.length > 5 && streamed.trades.length > 5 && streamed.bars.length);
    const [live] = streamed.bars;
    const at = new Date(live.t);
    const again = (await alpaca.marketData.getStockBarsFor("AAPL", { ...span, start: at, end: at })).map(bar);
    return { history, latest, streamed: { quotes: streamed.quotes.slice(0, 6), trades: streamed.trades.slice(0, 6), bar: live }, again };
}

trading().then(async (found) => {
    console.log(JSON.stringify({ ...found, ...(await data()), complaints }));
    process.exit(0);
}).catch((error) => {
    console.error(error);
    process.exit(1);
});
