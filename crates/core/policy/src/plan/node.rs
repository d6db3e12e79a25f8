//! The parts of a plan.

use regorus::Value;
use regorus::unstable::{ArithOp, BinOp, BoolOp, BuiltinFcn, ExprRef, Span};

/// Where a local value lies in its definition's frame.
pub(super) type Slot = usize;

/// A rule or a function.
pub(super) enum Planned {
    /// A rule with one value: that of all definitions that have one, or the default.
    Complete {
        definitions: Vec<Definition>,
        default: Option<Node>,
    },
    /// A set: what all definitions put into it.
    Set(Vec<Definition>),
    /// A function: the value of all definitions that its arguments fit.
    Function(Vec<(Vec<Pattern>, Definition)>),
}

/// One definition of a rule.
pub(super) struct Definition {
    /// The first that holds gives the value: a body, and an `else` for each of the others.
    pub(super) bodies: Vec<Body>,
    /// How many local values there are.
    pub(super) slots: usize,
}

/// Conditions, and the value if they hold.
pub(super) struct Body {
    pub(super) steps: Vec<Step>,
    pub(super) output: Node,
    /// Whether the conditions can hold more than once.
    pub(super) loops: bool,
}

/// What an argument must be.
pub(super) enum Pattern {
    /// Anything, kept.
    Slot(Slot),
    /// Anything.
    Any,
    /// This value.
    Is(Value),
}

/// One statement of a body.
pub(super) enum Step {
    /// It is neither false nor undefined.
    Holds(Node),
    /// It is false or undefined.
    Not(Node),
    /// It is defined, and kept.
    Bind(Option<Slot>, Node),
    /// What follows is tried with each member.
    Some {
        key: Option<Slot>,
        value: Option<Slot>,
        collection: Node,
    },
    /// The conditions hold for each member.
    Every {
        key: Option<Slot>,
        value: Option<Slot>,
        domain: Node,
        steps: Vec<Step>,
    },
}

/// What a comprehension makes.
pub(super) enum Made {
    Array,
    Set,
    Object(Box<Node>),
}

/// An expression.
pub(super) enum Node {
    Constant(Value),
    /// A member of the input, by the names on the way to it.
    Input(Vec<Value>),
    Local(Slot),
    /// A rule's value, by the rule's number.
    Rule(usize),
    /// A member, by what it is called.
    Member(Box<Node>, Value),
    /// A member, by what another expression says.
    Index(Box<Node>, Box<Node>),
    Array(Vec<Node>),
    Set(Vec<Node>),
    Object(Vec<(Node, Node)>),
    Comprehension {
        made: Made,
        body: Box<Body>,
    },
    /// A function of the policy, by its number.
    Call(usize, Vec<Node>),
    Builtin(Box<Builtin>),
    /// `glob.match`, which is not the engine's own.
    Glob(Vec<Node>),
    Compare(BoolOp, Box<Node>, Box<Node>),
    Operator(Box<Operator>),
    Membership {
        key: Option<Box<Node>>,
        value: Box<Node>,
        collection: Box<Node>,
    },
}

/// A call of one of the engine's own functions, and what it wants to name in its errors.
pub(super) struct Builtin {
    pub(super) function: BuiltinFcn,
    pub(super) arguments: Vec<Node>,
    pub(super) span: Span,
    pub(super) written: Vec<ExprRef>,
}

/// An operator of numbers or sets, likewise.
pub(super) struct Operator {
    pub(super) what: Operation,
    pub(super) left: Node,
    pub(super) right: Node,
    pub(super) span: Span,
    pub(super) written: [ExprRef; 2],
}

/// Which operator.
pub(super) enum Operation {
    Arithmetic(ArithOp),
    Sets(BinOp),
}
