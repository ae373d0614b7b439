"""What the demo broker lists: well-known symbols with plausible prices, and a few that misbehave on request.

The names are real, the prices are of the right size and nothing more: no number of this broker comes from a market.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import attrs

from broker_core.errors import ConfigError
from broker_core.models import Asset

PARTIAL = "DEMO.PARTIAL"
"""Fills only in small pieces, with time between them."""
EARLY = "DEMO.EARLY"
"""Fills before its order is acknowledged: the fill is on the stream while the answer to the submission is still on its way."""
REJECT = "DEMO.REJECT"
"""Is accepted, and rejected by the exchange a moment later."""
REFUSE = "DEMO.REFUSE"
"""Is refused at once; no order comes to exist."""
SILENT = "DEMO.SILENT"
"""Takes effect, but the submission is never answered."""
LOST = "DEMO.LOST"
"""Never arrives and is never answered: no order comes to exist, and nobody says so."""
DROP = "DEMO.DROP"
"""Takes effect and is answered, and the stream's connection breaks right afterwards."""

MISBEHAVING: Mapping[str, str] = MappingProxyType(
    {
        PARTIAL: "Demo: fills in small pieces",
        EARLY: "Demo: fills before it is acknowledged",
        REJECT: "Demo: rejected after acceptance",
        REFUSE: "Demo: refused at once",
        SILENT: "Demo: takes effect, never answers",
        LOST: "Demo: never arrives, never answers",
        DROP: "Demo: breaks the stream",
    }
)
"""The symbols that misbehave on request, and the names under which they are listed."""

_FRACTION = Decimal("0.000000001")


@attrs.frozen(kw_only=True)
class Listing:
    """An asset and what its invented price is made from."""

    asset: Asset
    base_price: Decimal
    """The price around which the invented one moves, in the account's currency."""
    daily_volatility: float
    """The standard deviation of a day's logarithmic return."""
    minute_turnover: int
    """What an average minute trades, in the account's currency."""


def stock(symbol: str, name: str, exchange: str, base_price: Decimal) -> Listing:
    """A share: whole cents, any fraction, may be sold short."""
    asset = Asset(symbol=symbol, name=name, exchange=exchange, shortable=True, fractionable=True, qty_increment=_FRACTION)
    return Listing(asset=asset, base_price=base_price, daily_volatility=0.018, minute_turnover=5_000_000)


def fund(symbol: str, name: str, base_price: Decimal) -> Listing:
    """An exchange-traded fund: like a share, but calmer and busier."""
    return attrs.evolve(stock(symbol, name, "ARCA", base_price), daily_volatility=0.011, minute_turnover=20_000_000)


def crypto(symbol: str, name: str, base_price: Decimal, price_increment: Decimal) -> Listing:
    """A pair like ``BTC/USD``: any fraction, not to be sold short."""
    asset = Asset(
        symbol=symbol,
        name=name,
        asset_class="crypto",
        exchange="CRYPTO",
        fractionable=True,
        price_increment=price_increment,
        qty_increment=_FRACTION,
    )
    return Listing(asset=asset, base_price=base_price, daily_volatility=0.03, minute_turnover=10_000_000)


def unheard_of(symbol: str, base_price: Decimal) -> Listing:
    """A symbol that only its user knows: a pair when there is a slash in it, a share when there is none."""
    if "/" in symbol:
        return crypto(symbol, symbol, base_price, Decimal("0.01"))
    return stock(symbol, symbol, "DEMO", base_price)


def check_symbol(symbol: str, where: str) -> str:
    """The symbol itself; ConfigError beginning with ``where`` for one that no order could name."""
    if not symbol.isprintable() or not 1 <= len(symbol) <= 32 or " " in symbol:
        raise ConfigError(f"{where}: symbol {symbol!r} is not a printable text of 1 to 32 characters without a space")
    return symbol


_NASDAQ = {
    "AAPL": ("Apple Inc.", "230"),
    "ABNB": ("Airbnb, Inc.", "130"),
    "ADBE": ("Adobe Inc.", "440"),
    "ADI": ("Analog Devices, Inc.", "215"),
    "ADP": ("Automatic Data Processing, Inc.", "300"),
    "AMAT": ("Applied Materials, Inc.", "180"),
    "AMD": ("Advanced Micro Devices, Inc.", "140"),
    "AMGN": ("Amgen Inc.", "290"),
    "AMZN": ("Amazon.com, Inc.", "205"),
    "ASML": ("ASML Holding N.V.", "740"),
    "AVGO": ("Broadcom Inc.", "220"),
    "BKNG": ("Booking Holdings Inc.", "4900"),
    "CMCSA": ("Comcast Corporation", "36"),
    "COIN": ("Coinbase Global, Inc.", "250"),
    "COST": ("Costco Wholesale Corporation", "960"),
    "CRWD": ("CrowdStrike Holdings, Inc.", "400"),
    "CSCO": ("Cisco Systems, Inc.", "60"),
    "CSX": ("CSX Corporation", "32"),
    "DDOG": ("Datadog, Inc.", "125"),
    "EA": ("Electronic Arts Inc.", "145"),
    "EBAY": ("eBay Inc.", "68"),
    "GILD": ("Gilead Sciences, Inc.", "105"),
    "GOOG": ("Alphabet Inc. Class C", "178"),
    "GOOGL": ("Alphabet Inc. Class A", "176"),
    "HON": ("Honeywell International Inc.", "215"),
    "INTC": ("Intel Corporation", "23"),
    "INTU": ("Intuit Inc.", "640"),
    "ISRG": ("Intuitive Surgical, Inc.", "530"),
    "KLAC": ("KLA Corporation", "720"),
    "LRCX": ("Lam Research Corporation", "80"),
    "LULU": ("Lululemon Athletica Inc.", "300"),
    "MAR": ("Marriott International, Inc.", "265"),
    "MDLZ": ("Mondelez International, Inc.", "66"),
    "MELI": ("MercadoLibre, Inc.", "2200"),
    "META": ("Meta Platforms, Inc.", "620"),
    "MRNA": ("Moderna, Inc.", "32"),
    "MRVL": ("Marvell Technology, Inc.", "75"),
    "MSFT": ("Microsoft Corporation", "440"),
    "MSTR": ("Strategy Inc", "350"),
    "MU": ("Micron Technology, Inc.", "105"),
    "NFLX": ("Netflix, Inc.", "980"),
    "NVDA": ("NVIDIA Corporation", "135"),
    "NXPI": ("NXP Semiconductors N.V.", "210"),
    "ORLY": ("O'Reilly Automotive, Inc.", "92"),
    "PANW": ("Palo Alto Networks, Inc.", "185"),
    "PDD": ("PDD Holdings Inc.", "110"),
    "PEP": ("PepsiCo, Inc.", "145"),
    "PLTR": ("Palantir Technologies Inc.", "95"),
    "PYPL": ("PayPal Holdings, Inc.", "72"),
    "QCOM": ("QUALCOMM Incorporated", "160"),
    "REGN": ("Regeneron Pharmaceuticals, Inc.", "650"),
    "RIVN": ("Rivian Automotive, Inc.", "13"),
    "ROKU": ("Roku, Inc.", "75"),
    "SBUX": ("Starbucks Corporation", "92"),
    "SOFI": ("SoFi Technologies, Inc.", "14"),
    "TMUS": ("T-Mobile US, Inc.", "245"),
    "TSLA": ("Tesla, Inc.", "310"),
    "TXN": ("Texas Instruments Incorporated", "185"),
    "VRTX": ("Vertex Pharmaceuticals Incorporated", "460"),
    "WBD": ("Warner Bros. Discovery, Inc.", "10"),
    "WDAY": ("Workday, Inc.", "245"),
    "ZM": ("Zoom Communications, Inc.", "78"),
}
_NYSE = {
    "ABBV": ("AbbVie Inc.", "190"),
    "ABT": ("Abbott Laboratories", "130"),
    "ACN": ("Accenture plc", "330"),
    "AXP": ("American Express Company", "290"),
    "BA": ("The Boeing Company", "185"),
    "BABA": ("Alibaba Group Holding Limited", "115"),
    "BAC": ("Bank of America Corporation", "44"),
    "BLK": ("BlackRock, Inc.", "980"),
    "BMY": ("Bristol-Myers Squibb Company", "55"),
    "BRK.B": ("Berkshire Hathaway Inc. Class B", "490"),
    "C": ("Citigroup Inc.", "75"),
    "CAT": ("Caterpillar Inc.", "350"),
    "CL": ("Colgate-Palmolive Company", "90"),
    "COP": ("ConocoPhillips", "98"),
    "CRM": ("Salesforce, Inc.", "280"),
    "CVS": ("CVS Health Corporation", "63"),
    "CVX": ("Chevron Corporation", "150"),
    "DE": ("Deere & Company", "460"),
    "DIS": ("The Walt Disney Company", "110"),
    "F": ("Ford Motor Company", "10.5"),
    "FDX": ("FedEx Corporation", "240"),
    "GE": ("GE Aerospace", "200"),
    "GM": ("General Motors Company", "49"),
    "GS": ("The Goldman Sachs Group, Inc.", "590"),
    "HD": ("The Home Depot, Inc.", "380"),
    "IBM": ("International Business Machines Corporation", "245"),
    "JNJ": ("Johnson & Johnson", "158"),
    "JPM": ("JPMorgan Chase & Co.", "250"),
    "KO": ("The Coca-Cola Company", "69"),
    "LLY": ("Eli Lilly and Company", "820"),
    "LMT": ("Lockheed Martin Corporation", "460"),
    "LOW": ("Lowe's Companies, Inc.", "240"),
    "MA": ("Mastercard Incorporated", "540"),
    "MCD": ("McDonald's Corporation", "300"),
    "MMM": ("3M Company", "145"),
    "MO": ("Altria Group, Inc.", "57"),
    "MRK": ("Merck & Co., Inc.", "88"),
    "MS": ("Morgan Stanley", "125"),
    "NEE": ("NextEra Energy, Inc.", "71"),
    "NKE": ("NIKE, Inc.", "72"),
    "NOW": ("ServiceNow, Inc.", "950"),
    "ORCL": ("Oracle Corporation", "165"),
    "PFE": ("Pfizer Inc.", "25"),
    "PG": ("The Procter & Gamble Company", "168"),
    "PM": ("Philip Morris International Inc.", "155"),
    "RTX": ("RTX Corporation", "128"),
    "SCHW": ("The Charles Schwab Corporation", "80"),
    "SHEL": ("Shell plc", "68"),
    "SHOP": ("Shopify Inc.", "105"),
    "SNAP": ("Snap Inc.", "9"),
    "SNOW": ("Snowflake Inc.", "170"),
    "SPGI": ("S&P Global Inc.", "505"),
    "SPOT": ("Spotify Technology S.A.", "590"),
    "T": ("AT&T Inc.", "27"),
    "TGT": ("Target Corporation", "105"),
    "TM": ("Toyota Motor Corporation", "185"),
    "TSM": ("Taiwan Semiconductor Manufacturing Company Limited", "190"),
    "UBER": ("Uber Technologies, Inc.", "76"),
    "UNH": ("UnitedHealth Group Incorporated", "490"),
    "UNP": ("Union Pacific Corporation", "235"),
    "UPS": ("United Parcel Service, Inc.", "112"),
    "V": ("Visa Inc.", "340"),
    "VZ": ("Verizon Communications Inc.", "43"),
    "WFC": ("Wells Fargo & Company", "74"),
    "WMT": ("Walmart Inc.", "96"),
    "XOM": ("Exxon Mobil Corporation", "110"),
}
_FUNDS = {
    "AGG": ("iShares Core U.S. Aggregate Bond ETF", "98"),
    "ARKK": ("ARK Innovation ETF", "57"),
    "DIA": ("SPDR Dow Jones Industrial Average ETF Trust", "430"),
    "EEM": ("iShares MSCI Emerging Markets ETF", "44"),
    "EFA": ("iShares MSCI EAFE ETF", "82"),
    "GDX": ("VanEck Gold Miners ETF", "45"),
    "GLD": ("SPDR Gold Shares", "270"),
    "HYG": ("iShares iBoxx $ High Yield Corporate Bond ETF", "79"),
    "IEF": ("iShares 7-10 Year Treasury Bond ETF", "95"),
    "IVV": ("iShares Core S&P 500 ETF", "595"),
    "IWM": ("iShares Russell 2000 ETF", "215"),
    "QQQ": ("Invesco QQQ Trust", "515"),
    "SLV": ("iShares Silver Trust", "30"),
    "SOXX": ("iShares Semiconductor ETF", "215"),
    "SPY": ("SPDR S&P 500 ETF Trust", "590"),
    "TLT": ("iShares 20+ Year Treasury Bond ETF", "90"),
    "USO": ("United States Oil Fund, LP", "74"),
    "VEA": ("Vanguard FTSE Developed Markets ETF", "52"),
    "VNQ": ("Vanguard Real Estate ETF", "91"),
    "VOO": ("Vanguard S&P 500 ETF", "545"),
    "VTI": ("Vanguard Total Stock Market ETF", "292"),
    "VWO": ("Vanguard FTSE Emerging Markets ETF", "46"),
    "XLE": ("Energy Select Sector SPDR Fund", "90"),
    "XLF": ("Financial Select Sector SPDR Fund", "50"),
    "XLK": ("Technology Select Sector SPDR Fund", "230"),
    "XLV": ("Health Care Select Sector SPDR Fund", "142"),
}
_CRYPTO = {
    "AVAX/USD": ("Avalanche / US Dollar", "30", "0.001"),
    "BTC/USD": ("Bitcoin / US Dollar", "95000", "0.01"),
    "DOGE/USD": ("Dogecoin / US Dollar", "0.25", "0.0001"),
    "ETH/USD": ("Ether / US Dollar", "3100", "0.01"),
    "LINK/USD": ("Chainlink / US Dollar", "18", "0.001"),
    "LTC/USD": ("Litecoin / US Dollar", "105", "0.01"),
    "SOL/USD": ("Solana / US Dollar", "180", "0.01"),
    "XRP/USD": ("XRP / US Dollar", "2.2", "0.0001"),
}

LISTINGS: Mapping[str, Listing] = MappingProxyType(
    {
        **{symbol: stock(symbol, name, "NASDAQ", Decimal(price)) for symbol, (name, price) in _NASDAQ.items()},
        **{symbol: stock(symbol, name, "NYSE", Decimal(price)) for symbol, (name, price) in _NYSE.items()},
        **{symbol: fund(symbol, name, Decimal(price)) for symbol, (name, price) in _FUNDS.items()},
        **{symbol: crypto(symbol, name, Decimal(price), Decimal(increment)) for symbol, (name, price, increment) in _CRYPTO.items()},
        **{symbol: stock(symbol, name, "DEMO", Decimal(100)) for symbol, name in MISBEHAVING.items()},
    }
)
"""Everything the demo broker lists, by symbol."""
